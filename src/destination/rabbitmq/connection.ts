/** The connection to a server, for those who send to it and those who take from it. */
import type * as Amqplib from 'amqplib';
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { loadClient } from '../shared/clients.ts';
import { refused, unreachable } from '../shared/failures.ts';
import { errorText } from '../shared/networkErrors.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { secretsOf, shownAddress } from '../shared/plainAddress.ts';
import { tlsOptions, type TlsSettings } from '../shared/tlsOptions.ts';
import type { SecretSource } from '../../core/secrets.ts';
import { amqplib } from './client.ts';

export interface Server {
  readonly url: URL;
  /** For messages: without user and password. */
  readonly label: string;
  readonly tls: Readonly<Record<string, unknown>>;
  readonly secrets: readonly string[];
  /** The same for all destinations of one server, virtual host and login. Stays in memory. */
  readonly key: string;
}

export function serverOf(url: URL, tls: Omit<TlsSettings, 'enabled'>, source: SecretSource): Server {
  const options = tlsOptions(tls, source);
  return {
    url,
    label: shownAddress(url),
    tls: options,
    secrets: secretsOf(url),
    key: `rabbitmq ${url.href} ${JSON.stringify(options)}`,
  };
}

const connectTimeoutMs = 10_000;
const heartbeatSeconds = 10;

/**
 * One connection, made when it is first needed and again after it broke. While nobody can connect, whoever asks within the pause
 * is told what the last try met: a hundred messages are not a hundred connections.
 */
export class RabbitmqConnection {
  /** Why the server takes nothing at the moment (`connection.blocked`); null when it does. */
  blocked: string | null = null;
  /** Bytes of a body that the server takes at most, learnt from its refusal; null while it refused none. */
  largest: number | null = null;
  readonly #server: Server;
  readonly #model = new OnDemand(() => this.#connect());

  constructor(server: Server) {
    this.#server = server;
  }

  /** A channel with confirms; the caller closes it. */
  async confirmChannel(): Promise<ConfirmChannel> {
    const model = await this.#model.get();
    return model.createConfirmChannel();
  }

  close(): Promise<void> {
    return this.#model.close((model) => model.close().catch(() => undefined));
  }

  async #connect(): Promise<ChannelModel> {
    const { connect } = await loadClient<Pick<typeof Amqplib, 'connect'>>(amqplib, 'rabbitmq');
    const { url, tls, label } = this.#server;
    const address = new URL(url.href);
    if (!address.searchParams.has('heartbeat'))
      address.searchParams.set('heartbeat', String(heartbeatSeconds));
    let model: ChannelModel;
    try {
      model = await connect(address.href, {
        timeout: connectTimeoutMs,
        noDelay: true,
        clientProperties: { connection_name: 'temporal-outbox' },
        ...tls,
      });
    } catch (error) {
      throw refusal(error, label);
    }
    const gone = (): void => {
      this.#model.forget();
      this.blocked = null;
      // It may come back with another limit.
      this.largest = null;
    };
    model.on('close', gone);
    // `close` follows; without a listener the process would end.
    model.on('error', gone);
    model.on('blocked', (reason) => (this.blocked = reason));
    model.on('unblocked', () => (this.blocked = null));
    return model;
  }
}

/** The login or the virtual host is not ours: the destination's fault. Everything else may be otherwise in a moment. */
function refusal(error: unknown, label: string): unknown {
  const text = errorText(error);
  if (/ACCESS[-_]REFUSED|\b403\b/i.test(text))
    return refused('access-refused', `${label} refuses the login`, { permanent: false });
  if (/NOT[-_]ALLOWED|\b530\b/i.test(text))
    return refused('access-refused', `${label}: ${text}`, { permanent: false });
  if (/handshake|closed|timeout/i.test(text) && !hasCode(error))
    return unreachable('connection-reset', `${label}: ${text}`);
  return error;
}

function hasCode(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === 'string';
}
