/** The Temporal that a destination names, and the connection that all of its destinations share. */
import type { Client, Connection, ConnectionOptions, WorkflowClientInterceptor } from '@temporalio/client';
import { classifyHost, neverReached } from '../../core/address.ts';
import { expandEnvironment } from '../../core/environment.ts';
import { OutboxError } from '../../errors.ts';
import { OnDemand } from '../shared/onDemand.ts';
import { readPem } from '../shared/pem.ts';
import { readSecret } from '../shared/secretValues.ts';
import type { SecretSource } from '../../core/secrets.ts';
import type { TemporalSettings } from './keys.ts';

export interface Server {
  /** Null: as this process connects itself. */
  readonly options: ConnectionOptions | null;
  readonly namespace: string | null;
  readonly label: string;
  readonly secrets: readonly string[];
  readonly env: SecretSource['env'];
  /** The same for all destinations of one server and login. Stays in memory. */
  readonly key: string;
}

/** Of `host:port`; null when it is none. */
export function hostOf(address: string): string | null {
  return /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/.exec(address)?.[1] ?? null;
}

/** @throws OutboxError naming what is missing or malformed */
export function prepareServer(settings: TemporalSettings, source: SecretSource): Server {
  const { namespace } = settings;
  const { env } = source;
  const suffix = namespace === null ? '' : ` namespace ${namespace}`;
  if (settings.address === null) {
    const address = env['TEMPORAL_ADDRESS'] ?? 'as this process has it';
    return {
      options: null,
      namespace,
      label: `Temporal ${address}${suffix}`,
      secrets: [],
      env,
      key: 'temporal own',
    };
  }
  const address = readAddress(settings.address, source);
  const read = (reference: string | null): string | null =>
    reference === null ? null : readPem(reference, source);
  const apiKey = settings.apiKey === null ? null : readSecret(settings.apiKey, source);
  const { tls } = settings;
  const [ca, cert, key] = [read(tls?.ca ?? null), read(tls?.cert ?? null), read(tls?.key ?? null)];
  const options: ConnectionOptions = {
    address,
    ...(apiKey === null ? {} : { apiKey }),
    tls:
      tls === null
        ? null
        : {
            ...(ca === null ? {} : { serverRootCACertificate: Buffer.from(ca) }),
            ...(cert === null || key === null
              ? {}
              : { clientCertPair: { crt: Buffer.from(cert), key: Buffer.from(key) } }),
            ...(tls.serverName === null ? {} : { serverNameOverride: tls.serverName }),
          },
  };
  return {
    options,
    namespace,
    label: `Temporal ${address}${suffix}`,
    secrets: apiKey === null ? [] : [apiKey],
    env,
    key: `temporal ${JSON.stringify([address, apiKey, tls === null, ca, cert, key, tls?.serverName])}`,
  };
}

function readAddress(written: string, { env }: SecretSource): string {
  const { text, missing, closed = [] } = expandEnvironment(written, env);
  const problem =
    closed[0] ??
    (missing.length > 0 ? `address needs ${missing.join(', ')}, missing or empty in the environment` : null);
  if (problem !== null) throw new OutboxError('OUTBOX_CONFIG_INVALID', problem);
  const host = hostOf(text);
  if (host === null) throw new OutboxError('OUTBOX_CONFIG_INVALID', 'address is no host:port');
  if (classifyHost(host) === 'forbidden')
    throw new OutboxError('OUTBOX_CONFIG_INVALID', `address: ${neverReached}`);
  return text;
}

/** The workflow's validator said no to an update, or its handler failed at once. */
export class UpdateFailed extends Error {}

/** The client keeps to itself that an update was rejected until its result is asked for, which of an accepted one may take for ever. */
const seesUpdatesFail: WorkflowClientInterceptor = {
  async startUpdateWithStart(input, next) {
    const output = await next(input);
    const failure = output.updateOutcome?.failure;
    if (failure) throw new UpdateFailed(failure.message ?? 'rejected');
    return output;
  },
};

export interface Opened {
  readonly connection: Connection;
  /** Of a namespace; null for that of this process. */
  readonly clientFor: (namespace: string | null) => Client;
  readonly defaultNamespace: string;
}

/** One connection, made when it is first needed; it connects again by itself. */
export class TemporalConnection {
  readonly #server: Server;
  readonly #opened = new OnDemand(() => this.#open());

  constructor(server: Server) {
    this.#server = server;
  }

  open(): Promise<Opened> {
    return this.#opened.get();
  }

  close(): Promise<void> {
    return this.#opened.close(({ connection }) => connection.close());
  }

  async #open(): Promise<Opened> {
    const { Client, Connection } = await import('@temporalio/client');
    const { options, env } = this.#server;
    const own = options === null ? await ownSettings(env) : null;
    const connection = Connection.lazy({
      ...own?.connectionOptions,
      ...options,
      // What is tried again, when and under which attempt, is the outbox's to say.
      interceptors: [],
      channelArgs: {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
        'grpc.keepalive_time_ms': 30_000,
        'grpc.keepalive_timeout_ms': 10_000,
      },
    });
    const defaultNamespace = own?.namespace ?? 'default';
    const clients = new Map<string, Client>();
    const clientFor = (namespace: string | null): Client => {
      const name = namespace ?? defaultNamespace;
      const known =
        clients.get(name) ??
        new Client({ connection, namespace: name, interceptors: { workflow: [seesUpdatesFail] } });
      clients.set(name, known);
      return known;
    };
    return { connection, clientFor, defaultNamespace };
  }
}

async function ownSettings(env: SecretSource['env']) {
  const { loadClientConnectConfig } = await import('@temporalio/envconfig');
  const variables = Object.entries(env).filter((each): each is [string, string] => each[1] !== undefined);
  return loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(variables) });
}
