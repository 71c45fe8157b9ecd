import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnection, Worker } from '@temporalio/worker';
import type { Log } from '../../activities/index.ts';
import { RenewingConnection } from './renewing.ts';
import { unreachable } from './unreachable.ts';

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

function isNear(address: string): boolean {
  return (
    /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[::1\])/.test(address) ||
    /^[a-z0-9-]+:\d+$/i.test(address)
  );
}
