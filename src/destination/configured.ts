/** A destination of outbox.yaml: its policy, and what its type makes of the rest. The configuration asks here. */
import * as z from 'zod';
import type { DestinationConfig } from '../core/destination.ts';
import { nearestWord } from '../core/nearest.ts';
import { quote, type KeyPath } from '../settings/findings.ts';
import type { Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { section } from '../settings/shapes.ts';
import { commonDefaults, policyKeys, type PolicyDefaults } from './policy/keys.ts';
import { normalisePolicy } from './policy/normalise.ts';
import { checkPolicy } from './policy/rules.ts';
import type { DestinationTypes } from './registry.ts';
import { checkTemplate, pathsIn } from './shared/template.ts';
import type { DestinationType } from './type.ts';

type Destination = z.ZodType<Mapping & { readonly type: string }>;

/** A mapping by its `type`. */
export function destinationSchema(types: DestinationTypes): Destination {
  const [first, ...rest] = types.all.map(schemaOf);
  if (first === undefined) throw new Error('there is no destination type');
  const expected = spokenTypes(types);
  return z.discriminatedUnion('type', [first, ...rest], {
    error: (issue) =>
      issue.code === 'invalid_union' ? expected : 'expected a mapping with keys such as type',
  });
}

function spokenTypes({ names }: DestinationTypes): string {
  return `expected ${names.join(' or ')}`;
}

function schemaOf(type: DestinationType) {
  return section({
    type: z.literal(type.name).describe('How the destination is reached.'),
    ...type.keys,
    ...policyKeys(defaultsOf(type), { retry: type.retryKeys, circuit: type.circuitKeys }),
  });
}

function defaultsOf(type: DestinationType | undefined): PolicyDefaults {
  return { ...commonDefaults, ...type?.defaults };
}

/** Rules of the policy, and of the type where it is known. */
export function checkDestination(
  path: KeyPath,
  destination: Mapping,
  types: DestinationTypes,
  context: RuleContext,
): void {
  const written = destination['type'];
  const type = typeof written === 'string' ? types.find(written) : undefined;
  checkPolicy(path, destination, defaultsOf(type), context.findings);
  type?.check?.(path, destination, context);
  for (const key of type?.templates ?? []) {
    const text = destination[key];
    if (typeof text === 'string') checkTemplate([...path, key], text, context.findings);
  }
}

/** Of what the schema and the rules took. */
export function normaliseDestination(
  name: string,
  written: Mapping,
  types: DestinationTypes,
): DestinationConfig {
  const type = types.need(written['type'] as string);
  const policy = normalisePolicy(written, defaultsOf(type));
  const settings = type.normalise(written) as { readonly retry?: object; readonly circuit?: object };
  const paths = pathsOf(type, settings);
  return {
    name,
    type: type.name,
    ...settings,
    ...policy,
    retry: { ...policy.retry, ...settings.retry },
    circuit: { ...policy.circuit, ...settings.circuit },
    ...(paths.length === 0 ? {} : { paths }),
  };
}

/** The jsonpaths of its templates, each once; of those that stand in the settings under their key's own name. */
function pathsOf(type: DestinationType, settings: object): string[] {
  const texts = (type.templates ?? []).map((key) => (settings as Mapping)[key]);
  return [...new Set(texts.flatMap((text) => (typeof text === 'string' ? pathsIn(text) : [])))];
}

export function describeUnknownType(found: string, types: DestinationTypes): string {
  const nearest = nearestWord(found, types.names);
  return `, found the text ${quote(found)}${nearest === null ? '' : `; did you mean ${nearest}?`}`;
}
