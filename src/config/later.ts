/**
 * What outbox.yaml's contract names and this version does not do yet. Refusing it by name is better than taking it
 * silently, and better than calling it unknown.
 */
import type { DestinationTypes } from '../destination/registry.ts';
import type { Findings, KeyPath } from '../settings/findings.ts';
import { isMapping, type Mapping } from '../settings/mapping.ts';

const laterAtTop: readonly string[] = [];
const laterInDestination: readonly string[] = [];
const laterTypes = ['rocketmq', 'rabbitmq', 'kafka', 'nats', 'sqs', 'redis', 'temporal'];

/** Known keys at this place that are not in the schema yet. */
export function laterKeys(path: KeyPath): readonly string[] {
  if (path.length === 0) return laterAtTop;
  return path.length === 2 && path[0] === 'destinations' ? laterInDestination : [];
}

/** Reports what is not available and returns the file without it, so that the rest is checked in the same run. */
export function setLaterAside(file: Mapping, types: DestinationTypes, findings: Findings): Mapping {
  const rest = without(file, laterAtTop, [], findings);
  if (!isMapping(rest['destinations'])) return rest;
  const destinations: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, destination] of Object.entries(rest['destinations'])) {
    const kept = keepDestination(name, destination, types, findings);
    if (kept !== undefined) destinations[name] = kept;
  }
  return { ...rest, destinations };
}

/** Undefined for a destination of a later type: its other keys are not known either. */
function keepDestination(
  name: string,
  destination: unknown,
  types: DestinationTypes,
  findings: Findings,
): unknown {
  if (!isMapping(destination)) return destination;
  const path = ['destinations', name];
  const { type } = destination;
  if (typeof type === 'string' && laterTypes.includes(type) && types.find(type) === undefined) {
    refuse([...path, 'type'], `destinations of type ${type}`, findings);
    return undefined;
  }
  return without(destination, laterInDestination, path, findings);
}

function without(mapping: Mapping, keys: readonly string[], path: KeyPath, findings: Findings): Mapping {
  const rest: Record<string, unknown> = { ...mapping };
  for (const key of keys) {
    if (!Object.hasOwn(rest, key)) continue;
    refuse([...path, key], key, findings, 'keyProblem');
    delete rest[key];
  }
  return rest;
}

function refuse(
  path: KeyPath,
  what: string,
  findings: Findings,
  at: 'problem' | 'keyProblem' = 'problem',
): void {
  findings[at](path, `${what} is known, but not available in this version`, 'OUTBOX_CONFIG_NOT_AVAILABLE');
}
