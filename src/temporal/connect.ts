import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { OutboxError } from '../errors.ts';
import { innermostWords, isAway } from './grpc.ts';

export interface TemporalSettings {
  /** `host:port`. Default: `TEMPORAL_ADDRESS`, the TOML profile, `localhost:7233`. */
  readonly address?: string;
  /** Default: `TEMPORAL_NAMESPACE`, the TOML profile, `default`. */
  readonly namespace?: string;
  /** Use nothing but the above: for a server of our own, which wants no TLS or key that is meant for another. Default false. */
  readonly ignoreEnvironment?: boolean;
}

/** Client and Worker share one connection: only then can a start hand its first workflow task to this process at once. */
export interface Temporal {
  readonly client: Client;
  readonly connection: NativeConnection;
  readonly address: string;
  readonly namespace: string;
  close(): Promise<void>;
}

/**
 * Connects with Temporal's own settings (`TEMPORAL_*`, TOML profile): address, namespace, TLS, API key.
 * @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE
 */
export async function connectTemporal(settings: TemporalSettings = {}): Promise<Temporal> {
  const profile = settings.ignoreEnvironment === true ? { connectionOptions: {} } : readProfile();
  const address = settings.address ?? profile.connectionOptions.address ?? 'localhost:7233';
  const namespace = settings.namespace ?? profile.namespace ?? 'default';
  try {
    const connection = await NativeConnection.connect({
      ...profile.connectionOptions,
      address,
      // Between neighbours compressing costs more than the bytes do.
      ...(isNear(address) ? { grpcCompression: { codec: 'none' as const } } : {}),
    });
    const client = new Client({ connection, namespace });
    return { client, connection, address, namespace, close: () => connection.close() };
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
