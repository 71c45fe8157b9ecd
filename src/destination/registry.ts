/** The destination types: ours, one line each, and those a program adds. */
import { nearestWord } from '../core/nearest.ts';
import { OutboxError } from '../errors.ts';
import { namePattern } from '../settings/shapes.ts';
import { http } from './http/index.ts';
import { kafka } from './kafka/index.ts';
import { nats } from './nats/index.ts';
import { rabbitmq } from './rabbitmq/index.ts';
import { redis } from './redis/index.ts';
import { rocketmq } from './rocketmq/index.ts';
import { sqs } from './sqs/index.ts';
import { temporal } from './temporal/index.ts';
import { reservedKeys } from './policy/keys.ts';
import type { DestinationType } from './type.ts';

const ours: readonly DestinationType[] = [http, rabbitmq, kafka, nats, redis, rocketmq, sqs, temporal];

/** Destination types by the name that `type:` gives. */
export class DestinationTypes {
  readonly #byName: ReadonlyMap<string, DestinationType>;

  constructor(types: readonly DestinationType[]) {
    this.#byName = new Map(types.map((type) => [type.name, type]));
  }

  get all(): readonly DestinationType[] {
    return [...this.#byName.values()];
  }

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** Whether it is one of ours, which keep what the interface asks of a sender. */
  isOurs(type: DestinationType): boolean {
    return ours.includes(type);
  }

  find(name: string): DestinationType | undefined {
    return this.#byName.get(name);
  }

  /** @throws OutboxError OUTBOX_DESTINATION_TYPE for a type that this process does not have */
  need(name: string): DestinationType {
    const type = this.find(name);
    if (type !== undefined) return type;
    throw this.unknown(name);
  }

  unknown(name: string): OutboxError {
    const nearest = nearestWord(name, this.names);
    const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
    return new OutboxError(
      'OUTBOX_DESTINATION_TYPE',
      `there is no destination type ${JSON.stringify(name)} in this process, which has ${this.names.join(', ')}${hint}`,
      {
        hint: 'Give the type to createWorker or run as destinationTypes, or its module to the CLI in OUTBOX_DESTINATION_TYPES.',
      },
    );
  }
}

export const builtInTypes = new DestinationTypes(ours);

/**
 * Ours and those of a program's own.
 * @throws OutboxError OUTBOX_DESTINATION_TYPE for what is no type, takes the name of another, or keys that every destination has
 */
export function withOwnTypes(own: readonly DestinationType[] = []): DestinationTypes {
  if (own.length === 0) return builtInTypes;
  const seen = new Set(builtInTypes.names);
  for (const type of own) {
    const problem = problemOfType(type, seen);
    if (problem !== null) throw new OutboxError('OUTBOX_DESTINATION_TYPE', problem);
    seen.add(type.name);
  }
  return new DestinationTypes([...ours, ...own]);
}

const functions = ['normalise', 'explain', 'problemOf', 'open'] as const;

function problemOfType(type: DestinationType, seen: ReadonlySet<string>): string | null {
  if (typeof type !== 'object' || type === null)
    return 'a destination type is an object, see temporal-outbox/destination';
  const { name, keys } = type;
  if (typeof name !== 'string' || !namePattern.test(name))
    return `a destination type's name is 1 to 63 of a-z, 0-9 and -, beginning with a letter; found ${JSON.stringify(name)}`;
  if (seen.has(name)) return `there are two destination types of the name ${name}`;
  if (typeof keys !== 'object' || keys === null) return `destination type ${name}: keys is missing`;
  for (const part of functions)
    if (typeof type[part] !== 'function') return `destination type ${name}: ${part} is not a function`;
  const taken = Object.keys(keys).find((key) => reservedKeys.includes(key));
  if (taken !== undefined) return `destination type ${name}: every destination has the key ${taken} already`;
  const foreign = type.templates?.find((key) => !Object.hasOwn(keys, key));
  return foreign === undefined
    ? null
    : `destination type ${name}: templates names ${foreign}, which is no key of it`;
}
