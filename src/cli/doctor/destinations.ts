/** Asks the servers that destinations name whether what they name is there. */
import type { DestinationConfig } from '../../core/destination.ts';
import type { Environment } from '../../core/secrets.ts';
import type { DestinationTypes } from '../../destination/registry.ts';
import { problemOf } from '../../destination/senders.ts';
import { Connections } from '../../destination/shared/connections.ts';
import { wholeShare } from '../../destination/shared/share.ts';
import type { Inspection, Services } from '../../destination/type.ts';
import { isOutboxError } from '../../errors.ts';

export interface InspectedDestination extends Inspection {
  readonly destination: string;
}

const deadlineMs = 10_000;

/** What each destination's type finds; nothing of those whose type has no such question, or that cannot be asked from here. */
export async function inspectDestinations(
  destinations: readonly DestinationConfig[],
  types: DestinationTypes,
  env: Environment,
): Promise<InspectedDestination[]> {
  const silent = (): void => undefined;
  const services: Services = {
    env,
    share: wholeShare,
    connections: new Connections(),
    log: { info: silent, warn: silent },
    now: Date.now,
  };
  const found = await Promise.all(
    destinations.map(async (config) => {
      const inspections = await inspect(config, types, services);
      return inspections.map((inspection) => ({ destination: config.name, ...inspection }));
    }),
  );
  return found.flat();
}

async function inspect(
  config: DestinationConfig,
  types: DestinationTypes,
  services: Services,
): Promise<readonly Inspection[]> {
  const problem = problemOf(config, services, types);
  if (problem !== null) return [{ level: 'fail', found: problem.message, hint: 'Nothing was asked.' }];
  const type = types.need(config.type);
  if (type.inspect === undefined) return [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs / 1000} s`)), deadlineMs);
  });
  try {
    return await Promise.race([type.inspect(config, services), late]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const hint =
      (isOutboxError(error) ? error.hint : undefined) ?? 'Is its server there, and does it take the login?';
    return [{ level: 'fail', found: message.split('\n')[0] ?? '', hint }];
  } finally {
    clearTimeout(timer);
  }
}
