/** The outgoing edge: one {@link Sender} per destination, opened by its type. */
import type { DestinationConfig } from '../core/destination.ts';
import type { Sender, SendOutcome } from '../core/outcome.ts';
import type { ErrorCode } from '../errors.ts';
import { builtInTypes, type DestinationTypes } from './registry.ts';
import { missingClient } from './shared/clients.ts';
import { Connections } from './shared/connections.ts';
import { errorText } from './shared/networkErrors.ts';
import { printable } from '../core/printable.ts';
import { wholeShare } from './shared/share.ts';
import type { SecretSource } from '../core/secrets.ts';
import type { DestinationType, Services } from './type.ts';

/** What a sender works with; what is left out is that of a process with this one destination. */
export type SenderDependencies = SecretSource & Partial<Services>;

/**
 * A sender for the destination. Nothing is opened until the first message, and nothing is thrown: a configuration
 * that cannot work (secret missing, address malformed) makes every message `refused`, class `bad-configuration`.
 * Call `close()` when done; it waits for what was handed in.
 */
export function createSender(
  config: DestinationConfig,
  dependencies: SenderDependencies,
  types: DestinationTypes = builtInTypes,
): Sender {
  const type = types.find(config.type);
  if (type === undefined) return waitingForType(config, types);
  const services = { ...alone(), ...dependencies };
  return types.isOurs(type) ? type.open(config, services) : guarded(type, config, services);
}

/** A fault in somebody's type is a failed attempt: a batch would wait for ever for a promise that rejects. */
function guarded(type: DestinationType, config: DestinationConfig, services: Services): Sender {
  const fault = (error: unknown): SendOutcome => ({
    kind: 'unreachable',
    errorClass: 'type-failed',
    message: printable(`destination type ${type.name} failed: ${errorText(error)}`, 500),
    ...nothingKnown,
  });
  try {
    const sender = type.open(config, services);
    const { check } = sender;
    return {
      send: async (message, signal) => sender.send(message, signal).catch(fault),
      describe: (message) => {
        try {
          return sender.describe?.(message) ?? { address: '', headers: {} };
        } catch {
          return { address: '', headers: {} };
        }
      },
      check: check === null ? null : async (signal) => check(signal).catch(fault),
      close: () => sender.close(),
    };
  } catch (error) {
    return failing(fault(error));
  }
}

const nothingKnown = { status: null, retryAfterMs: null, excerpt: null, durationMs: 0 };

function failing(outcome: SendOutcome): Sender {
  return { send: async () => outcome, check: async () => outcome, close: async () => undefined };
}

function alone(): Omit<Services, keyof SecretSource> {
  const silent = (): void => undefined;
  return {
    share: wholeShare,
    connections: new Connections(),
    log: { info: silent, warn: silent },
    now: Date.now,
  };
}

/** Another process may have the type, or this one once it is replaced: its messages cost nothing meanwhile. */
function waitingForType(config: DestinationConfig, types: DestinationTypes): Sender {
  const { message } = types.unknown(config.type);
  return failing({ kind: 'unreachable', errorClass: 'unknown-type', message, ...nothingKnown });
}

export interface SenderProblem {
  readonly code: ErrorCode;
  /** In words and without secrets. */
  readonly message: string;
}

/**
 * Why messages cannot be sent to the destination from this process (a secret missing, an address malformed, a client not
 * installed); null when nothing is wrong. For refusing to start, rather than to park what was never sent.
 */
export function problemOf(
  config: DestinationConfig,
  source: SecretSource,
  types: DestinationTypes = builtInTypes,
): SenderProblem | null {
  const type = types.find(config.type);
  if (type === undefined)
    return { code: 'OUTBOX_DESTINATION_TYPE', message: types.unknown(config.type).message };
  for (const client of type.clients ?? []) {
    const missing = missingClient(client, type.name);
    if (missing !== null) return { code: missing.code, message: missing.message };
  }
  const problem = type.problemOf(config, source);
  return problem === null ? null : { code: 'OUTBOX_SECRET_MISSING', message: problem };
}
