/** The proxy a destination names, and the client that all of its destinations share. */
import { Duplex } from 'node:stream';
import type * as Rocketmq from 'rocketmq-client-nodejs';
import type { Producer } from 'rocketmq-client-nodejs';
import { loadClient } from '../shared/clients.ts';
import { readHostPorts } from '../shared/hostPorts.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { labelOf } from '../shared/plainAddress.ts';
import { untilDeadline } from '../shared/untilDeadline.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { rocketmqClient } from './client.ts';
import type { RocketmqSettings } from './keys.ts';

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

/** @throws OutboxError naming what is missing or malformed */
export function prepareProxy(settings: RocketmqSettings, source: SecretSource): Proxy {
  const { auth, namespace, tls } = settings;
  const addresses = readHostPorts('endpoints', settings.endpoints, source);
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

/** Of the client's own; a delivery's deadline is mostly shorter. */
const requestTimeoutMs = 30_000;

/** The client would write a file under HOME, and to the console. */
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  close: () => undefined,
};

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
    const { endpoints, namespace, credentials, tls } = this.#proxy;
    const producer = new client.Producer({
      endpoints,
      namespace,
      sslEnabled: tls,
      maxAttempts: 1,
      requestTimeout: requestTimeoutMs,
      logger: silent,
      ...(credentials === undefined ? {} : { sessionCredentials: credentials }),
    });
    guardStreams(producer);
    // Without topics it asks nobody for anything yet.
    await producer.startup();
    return producer;
  }
}

const ended = new WeakSet<Producer>();

/**
 * The client takes its listeners off a stream before the stream ends, so that its last error would end the process; and it opens
 * streams again after it was shut down.
 */
function guardStreams(producer: Producer): void {
  const open = producer.createTelemetryStream.bind(producer);
  producer.createTelemetryStream = (endpoints) => {
    if (ended.has(producer)) return sink() as unknown as ReturnType<typeof open>;
    const stream = open(endpoints);
    const takeOff = stream.removeAllListeners.bind(stream);
    stream.removeAllListeners = (event) => {
      takeOff(event);
      stream.on('error', () => undefined);
      return stream;
    };
    return stream;
  };
}

/** Takes all and says nothing. */
function sink(): Duplex {
  return new Duplex({
    objectMode: true,
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
}

/** Where the proxy does not answer, the client's own shutdown stops half-way and leaves connections. */
async function end(producer: Producer): Promise<void> {
  ended.add(producer);
  const { topicRouteCache } = producer as unknown as {
    readonly topicRouteCache: ReadonlyMap<
      string,
      { getTotalEndpoints(): Parameters<Producer['getTelemetrySession']>[0][] }
    >;
  };
  const endpoints = [...topicRouteCache.values()].flatMap((route) => route.getTotalEndpoints());
  try {
    await untilDeadline(producer.shutdown(), shutdownMsMax, { said: 'shutdown' });
  } catch {
    for (const each of endpoints) producer.getTelemetrySession(each).release();
    producer.getRpcClientManager().close();
  }
}

const shutdownMsMax = 2_000;
