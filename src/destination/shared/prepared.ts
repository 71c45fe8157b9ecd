import type { DestinationConfig } from '../../core/destination.ts';
import { isOutboxError } from '../../errors.ts';
import type { SecretSource } from '../../core/secrets.ts';
import type { DestinationType, Services } from '../type.ts';
import { pipelinedSender, unusableSender, type Publisher } from './pipelinedSender.ts';

/**
 * `problemOf` and `open` of a type whose addresses and secrets are read by `prepare`, which throws an OutboxError that says without
 * secrets what is missing or malformed.
 */
export function preparedBy<Settings extends object, Prepared extends { readonly secrets: readonly string[] }>(
  prepare: (config: DestinationConfig & Settings, source: SecretSource) => Prepared,
  publisher: (config: DestinationConfig & Settings, prepared: Prepared, services: Services) => Publisher,
): Pick<DestinationType<Settings>, 'problemOf' | 'open'> {
  return {
    problemOf(config, source) {
      try {
        prepare(config, source);
        return null;
      } catch (error) {
        return inWords(error);
      }
    },
    open(config, services) {
      const { name, timeoutMs, concurrency } = config;
      let prepared: Prepared;
      try {
        prepared = prepare(config, services);
      } catch (error) {
        return unusableSender(name, inWords(error));
      }
      const options = { timeoutMs, concurrency, share: services.share, secrets: prepared.secrets };
      return pipelinedSender(publisher(config, prepared, services), options);
    },
  };
}

function inWords(error: unknown): string {
  return isOutboxError(error) ? error.message : 'a secret cannot be resolved';
}
