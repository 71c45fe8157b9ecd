/**
 * temporal-outbox: the parts a program uses. Importing this loads no Temporal module, so that a service that only writes
 * events starts as fast as before; `createRelay`, `createWorker` and `run` load what they need when called.
 */
import type { Relay, RelayOptions } from './relay/relay.ts';
import type { Running, RunOptions } from './run.ts';
import type { OutboxWorker, OutboxWorkerOptions } from './worker/worker.ts';

export * from './producer.ts';
export type { CheckBackHandler, CheckBackHandlers } from './worker/checkBacks.ts';
export { eventSchemas } from './config/eventSchemas.ts';
export { loadConfig, parseConfig, type LoadedConfig, type ParsedConfig } from './config/load.ts';
export * from './redrive/index.ts';
export type * from './core/destination.ts';
export type { CredentialsConfig, SigningConfig } from './core/httpCredentials.ts';
export type { HttpDestinationConfig } from './destination/http/config.ts';
export type { Relay, RelayOptions, Running, RunOptions, OutboxWorker, OutboxWorkerOptions };

/** Relay and worker in one process: the normal way to deliver. See {@link RunOptions}. */
export async function run(options: RunOptions): Promise<Running> {
  return (await import('./run.ts')).run(options);
}

/** The relay alone: claims rows and starts workflows. See {@link RelayOptions}. */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  return (await import('./relay/relay.ts')).createRelay(options);
}

/** The worker alone: runs workflows and activities. See {@link OutboxWorkerOptions}. */
export async function createWorker(options: OutboxWorkerOptions): Promise<OutboxWorker> {
  return (await import('./worker/worker.ts')).createWorker(options);
}
