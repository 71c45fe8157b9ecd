/** The proxy a destination names, and the client that all of its destinations share. */
import type * as Rocketmq from 'rocketmq-client-nodejs';
import type { Producer } from 'rocketmq-client-nodejs';
import { loadClient } from '../shared/clients.ts';
import type { ReadHostPorts } from '../shared/hostPortList.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { labelOf } from '../shared/plainAddress.ts';
import { untilDeadline } from '../shared/untilDeadline.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { rocketmqClient } from './client.ts';
import type { RocketmqSettings } from './keys.ts';
import { end, guardStreams, silent } from './streams.ts';

export interface Proxy {
  /** As the client takes them. */
  readonly endpoints: string;
  /** For messages. */
  readonly label: string;
  readonly namespace: string;
  readonly credentials:
    | { readonly accessKey: string; readonly accessSecret: string; readonly securityToken?: string }
    | undefined;
  readonly tls: boolean;
  readonly secrets: readonly string[];
  /** The same for all destinations of one proxy and login. Stays in memory. */
  readonly key: string;
}

/**
 * `readAddresses`: `readHostPorts` for destinations, `readHostPortList` for consumers.
 * @throws OutboxError naming what is missing or malformed
 */
export function prepareProxy(
  settings: Pick<RocketmqSettings, 'endpoints' | 'auth' | 'namespace' | 'tls'>,
  source: SecretSource,
  readAddresses: ReadHostPorts,
): Proxy {
  const { auth, namespace, tls } = settings;
  const addresses = readAddresses('endpoints', settings.endpoints, source);
  const read = (reference: string) => readSecret(reference, source);
  const credentials =
    auth === null
      ? undefined
      : {
          accessKey: read(auth.accessKey),
          accessSecret: read(auth.accessSecret),
          ...(auth.securityToken === null ? {} : { securityToken: read(auth.securityToken) }),
        };
  const endpoints = addresses.join(';');
  return {
    endpoints,
    label: labelOf(addresses),
    namespace: namespace ?? '',
    credentials,
    tls,
    secrets: hidden([credentials?.accessSecret, credentials?.securityToken]),
    key: `rocketmq ${endpoints} ${JSON.stringify([namespace, credentials, tls])}`,
  };
}

/** What every kind of client is told. */
export function clientOptions({ endpoints, namespace, credentials, tls }: Proxy) {
  return {
    endpoints,
    namespace,
    sslEnabled: tls,
    logger: silent,
    ...(credentials === undefined ? {} : { sessionCredentials: credentials }),
  };
}

/** Of the client's own; a delivery's deadline is mostly shorter. */
const requestTimeoutMs = 30_000;

/** One producer for all topics. It tries nothing again by itself: what failed is sent again by us, in its key's order. */
export class RocketmqLink {
  readonly #proxy: Proxy;
  #producer: Promise<Producer> | undefined;
  #answeredAtMs = 0;

  constructor(proxy: Proxy) {
    this.#proxy = proxy;
  }

  /**
   * Has the producer do something. A proxy that is silent for so long is not waited for: the connection is given up, or whatever comes next
   * would wait behind it.
   */
  async within<Result>(timeoutMs: number, work: (producer: Producer) => Promise<Result>): Promise<Result> {
    const opening = (this.#producer ??= this.#open());
    opening.catch(() => {
      if (this.#producer === opening) this.#producer = undefined;
    });
    const producer = await opening;
    const startedAtMs = performance.now();
    const result = await untilDeadline(work(producer), timeoutMs, {
      said: this.#proxy.label,
      late: () => {
        if (this.#answeredAtMs > startedAtMs) return;
        if (this.#producer === opening) this.#producer = undefined;
        void end(producer);
      },
    });
    this.#answeredAtMs = performance.now();
    return result;
  }

  async close(): Promise<void> {
    const producer = await this.#producer?.catch(() => undefined);
    this.#producer = undefined;
    if (producer !== undefined) await end(producer);
  }

  async #open(): Promise<Producer> {
    const client = await loadClient<typeof Rocketmq>(rocketmqClient, 'rocketmq');
    const producer = new client.Producer({
      ...clientOptions(this.#proxy),
      maxAttempts: 1,
      requestTimeout: requestTimeoutMs,
    });
    guardStreams(producer);
    // Without topics it asks nobody for anything yet.
    await producer.startup();
    return producer;
  }
}
