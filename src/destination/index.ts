/** The outgoing edge: one {@link Sender} per destination, chosen by its type. */
import type { DestinationConfig } from '../core/destination.ts';
import type { Sender } from '../core/outcome.ts';
import { createHttpSender } from './http/sender.ts';
import { prepareTarget, type SenderDependencies } from './http/target.ts';

export type { SenderDependencies } from './http/target.ts';

/**
 * A sender for the destination. Nothing is opened until the first message, and nothing is thrown: a configuration
 * that cannot work (secret missing, address malformed) makes every message `refused`, class `bad-configuration`.
 * Call `close()` when done; it waits for what was handed in.
 */
export function createSender(config: DestinationConfig, dependencies: SenderDependencies): Sender {
  switch (config.type) {
    case 'http':
      return createHttpSender(config, dependencies);
  }
}

/**
 * Why messages cannot be sent to the destination from this process (a secret missing, an address malformed), in words
 * and without secrets; null when nothing is wrong. For refusing to start, rather than to park what was never sent.
 */
export function problemOf(config: DestinationConfig, dependencies: SenderDependencies): string | null {
  switch (config.type) {
    case 'http': {
      const prepared = prepareTarget(config, dependencies);
      return 'problem' in prepared ? prepared.problem : null;
    }
  }
}
