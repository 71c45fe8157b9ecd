/** The connection to servers, for those who send to them and those who take from them. */
import type * as Jetstream from '@nats-io/jetstream';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type * as Transport from '@nats-io/transport-node';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import type { SecretSource } from '../../core/secrets.ts';
import { loadClient } from '../shared/clients.ts';
import { refused, unreachable } from '../shared/failures.ts';
import { errorText } from '../shared/networkErrors.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { labelOf, secretsOf, shownAddress } from '../shared/plainAddress.ts';
import { hidden, readSecret } from '../shared/secretValues.ts';
import { readTls, type TlsSettings } from '../shared/tlsOptions.ts';
import { jetstream, transport } from './client.ts';

export interface Server {
  readonly servers: readonly string[];
  /** For messages: without user and password. */
  readonly label: string;
  readonly login: Login;
  readonly tls: Readonly<Record<string, unknown>> | undefined;
  readonly secrets: readonly string[];
  /** The same for all destinations of these servers and this login. Stays in memory. */
  readonly key: string;
}

interface Login {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  readonly nkey?: string;
  readonly creds?: string;
}

/** As written. */
export interface NatsAuth {
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
  readonly nkey: string | null;
  readonly creds: string | null;
}

export function serverOf(
  urls: readonly URL[],
  { auth, tls }: { readonly auth: NatsAuth | null; readonly tls: TlsSettings | null },
  source: SecretSource,
): Server {
  const login = auth === null ? loginOf(urls) : readLogin(auth, source);
  const options = readTls(
    tls,
    source,
    urls.some(({ protocol }) => protocol === 'tls:'),
  );
  const addresses = urls.map(({ host }) => host);
  const { pass, token, nkey, creds } = login;
  return {
    servers: addresses,
    label: labelOf(urls.map(shownAddress)),
    login,
    tls: options,
    secrets: [...urls.flatMap(secretsOf), ...hidden([pass, token, nkey, creds])],
    key: `nats ${addresses.join()} ${JSON.stringify([login, options])}`,
  };
}

/** `nats://user:password@host`; a name alone is a token. */
function loginOf(urls: readonly URL[]): Login {
  const url = urls.find(({ username }) => username !== '');
  if (url === undefined) return {};
  const user = decodeURIComponent(url.username);
  return url.password === '' ? { token: user } : { user, pass: decodeURIComponent(url.password) };
}

function readLogin(auth: NatsAuth, source: SecretSource): Login {
  const read = (reference: string | null) => (reference === null ? undefined : readSecret(reference, source));
  const login = {
    user: auth.user ?? undefined,
    pass: read(auth.password),
    token: read(auth.token),
    nkey: read(auth.nkey),
    creds: read(auth.creds),
  };
  return Object.fromEntries(Object.entries(login).filter(([, value]) => value !== undefined));
}

const connectTimeoutMs = 10_000;
const pingIntervalMs = 10_000;

export interface OpenConnection {
  readonly nats: NatsConnection;
  readonly js: JetStreamClient;
  /** Bytes of headers and body together. */
  readonly maxPayload: number;
  readonly headers: () => Transport.MsgHdrs;
  /** Makes no request by itself. */
  readonly manager: () => Promise<JetStreamManager>;
}

/**
 * One connection, made when it is first needed and again after it broke. The client's own reconnecting is off: it would keep what was
 * published meanwhile and send it later, behind what was sent again.
 */
export class NatsLink {
  readonly #server: Server;
  readonly #open = new OnDemand(() => this.#connect());

  constructor(server: Server) {
    this.#server = server;
  }

  connected(): Promise<OpenConnection> {
    return this.#open.get();
  }

  close(): Promise<void> {
    return this.#open.close(({ nats }) => nats.close().catch(() => undefined));
  }

  async #connect(): Promise<OpenConnection> {
    const client = await loadClient<typeof Transport>(transport, 'nats');
    const streams = await loadClient<typeof Jetstream>(jetstream, 'nats');
    const { servers, tls, label } = this.#server;
    const options: NodeConnectionOptions = {
      servers: [...servers],
      name: 'temporal-outbox',
      timeout: connectTimeoutMs,
      pingInterval: pingIntervalMs,
      reconnect: false,
      noAsyncTraces: true,
      ...this.#login(client),
      ...(tls === undefined ? {} : { tls }),
    };
    let nats: NatsConnection;
    try {
      nats = await client.connect(options);
    } catch (error) {
      throw connectFailure(error, { label, client });
    }
    void nats.closed().then(() => this.#open.forget());
    return {
      nats,
      js: streams.jetstream(nats),
      maxPayload: nats.info?.max_payload ?? 1024 * 1024,
      headers: client.headers,
      manager: () => streams.jetstreamManager(nats, { checkAPI: false }),
    };
  }

  #login(client: typeof Transport): Partial<NodeConnectionOptions> {
    const { nkey, creds, ...plain } = this.#server.login;
    if (nkey !== undefined) return { authenticator: client.nkeyAuthenticator(Buffer.from(nkey.trim())) };
    return creds === undefined ? plain : { authenticator: client.credsAuthenticator(Buffer.from(creds)) };
  }
}

/** A login that is not ours is the destination's fault. Everything else may be otherwise in a moment. */
function connectFailure(
  error: unknown,
  { label, client }: { readonly label: string; readonly client: typeof Transport },
): unknown {
  const cause = (error as { readonly cause?: unknown }).cause;
  const authorization = [error, cause].some(
    (each) =>
      each instanceof client.AuthorizationError || each instanceof client.UserAuthenticationExpiredError,
  );
  if (authorization || /authorization violation|authentication/i.test(errorText(error)))
    return refused('access-refused', `${label} refuses the login`, { permanent: false });
  const { code } = (cause ?? error) as { readonly code?: unknown };
  return typeof code === 'string'
    ? error
    : unreachable('connection-refused', `${label}: ${errorText(error)}`);
}
