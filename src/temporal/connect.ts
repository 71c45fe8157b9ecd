import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection, Worker } from '@temporalio/worker';
import type { Log } from '../../activities/index.ts';
import { OutboxError } from '../errors.ts';
import { innermostWords, isAway } from './grpc.ts';
import { RenewingConnection } from './renewing.ts';

export interface TemporalSettings {
  /** `host:port`. Default: `TEMPORAL_ADDRESS`, the TOML profile, `localhost:7233`. */
  readonly address?: string;
  /** Default: `TEMPORAL_NAMESPACE`, the TOML profile, `default`. */
  readonly namespace?: string;
  /** Use nothing but the above: for a server of our own, which wants no TLS or key that is meant for another. Default false. */
  readonly ignoreEnvironment?: boolean;
  /** How often certificates and keys on disk are looked at; one that was renewed is in use then, milliseconds. Default 60,000. */
  readonly lookAgainMs?: number;
}

/** Client and Worker share one connection: only then can a start hand its first workflow task to this process at once. */
export interface Temporal {
  readonly client: Client;
  readonly connection: NativeConnection;
  /** Makes a worker on the connection of the moment, and gives it those that take its place. Without it `connection` is for good. */
  readonly withWorker?: (make: (connection: NativeConnection) => Promise<Worker>) => Promise<Worker>;
  readonly address: string;
  readonly namespace: string;
  close(): Promise<void>;
}

const silent = { info: () => undefined, warn: () => undefined };

/**
 * Connects with Temporal's own settings (`TEMPORAL_*`, TOML profile): address, namespace, TLS, API key. What of them is renewed on disk
 * is taken over.
 *
 * @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE
 */
export async function connectTemporal(
  settings: TemporalSettings = {},
  log: Pick<Log, 'info' | 'warn'> = silent,
): Promise<Temporal> {
  const profiled = (): ReturnType<typeof loadClientConnectConfig> =>
    settings.ignoreEnvironment === true ? { connectionOptions: {} } : readProfile();
  const profile = profiled();
  const address = settings.address ?? profile.connectionOptions.address ?? 'localhost:7233';
  const namespace = settings.namespace ?? profile.namespace ?? 'default';
  // Between neighbours compressing costs more than the bytes do.
  const near = isNear(address) ? { grpcCompression: { codec: 'none' as const } } : {};
  const read = () => ({ ...profiled().connectionOptions, address, ...near });
  try {
    const renewing = await RenewingConnection.connect({ read, everyMs: settings.lookAgainMs ?? 60_000, log });
    const connection = renewing.standIn;
    return {
      client: new Client({ connection, namespace }),
      ...{ connection, address, namespace },
      withWorker: (make) => renewing.withWorker(make),
      close: () => renewing.close(),
    };
  } catch (error) {
    throw unreachable(address, error);
  }
}

function readProfile(): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig();
  } catch (error) {
    throw unreachable("(as Temporal's environment settings or profile say)", error);
  }
}

export function unreachable(address: string, cause: unknown): OutboxError {
  const why = withoutRust(innermostWords(cause));
  return new OutboxError('OUTBOX_TEMPORAL_UNREACHABLE', `cannot use Temporal at ${address}: ${why}`, {
    cause,
    hint: 'Check TEMPORAL_ADDRESS and the other TEMPORAL_* settings, and that the server is up.',
  });
}

/** As {@link unreachable} what a call threw because Temporal went away meanwhile; anything else as it is. */
export function explainAway(error: unknown, address: string): unknown {
  return !(error instanceof OutboxError) && isAway(error) ? unreachable(address, error) : error;
}

/** The native client prints its errors as Rust structures; what a person wants of them is the innermost message. */
function withoutRust(message: string): string {
  if (!message.includes('tonic::') && !message.includes('code: ')) return message;
  if (message.includes('InvalidContentType')) return 'it does not speak TLS, which the settings ask for';
  return /.*message: "([^"]+)"/.exec(message)?.[1] ?? message;
}

function isNear(address: string): boolean {
  return (
    /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[::1\])/.test(address) ||
    /^[a-z0-9-]+:\d+$/i.test(address)
  );
}
