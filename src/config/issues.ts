/** What the schema found, as problems with a place and, for an unknown key, the key that was probably meant. */
import * as z from 'zod';
import { nearestWord } from '../core/nearest.ts';
import { quote, type Findings, type KeyPath } from '../settings/findings.ts';
import { describeUnknownType } from '../destination/configured.ts';
import type { DestinationTypes } from '../destination/registry.ts';

/** What was read, and by which schema. */
export interface Read {
  readonly schema: z.ZodType;
  readonly types: DestinationTypes;
  readonly input: unknown;
}

export function reportIssues(issues: readonly z.core.$ZodIssue[], read: Read, findings: Findings): void {
  for (const issue of issues) {
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    const found = valueAt(read.input, path);
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) findings.keyProblem([...path, key], explainUnknown(key, path, read));
    } else if (issue.code === 'invalid_key') {
      findings.keyProblem(path, issue.issues[0]?.message ?? issue.message);
    } else if (isDestinationType(path) && typeof found === 'string') {
      findings.problem(path, `${issue.message}${describeUnknownType(found, read.types)}`);
    } else {
      reportValue(issue.message, path, found, findings);
    }
  }
}

function isDestinationType(path: KeyPath): boolean {
  return path.length === 3 && path[0] === 'destinations' && path[2] === 'type';
}

function reportValue(message: string, path: KeyPath, found: unknown, findings: Findings): void {
  if (found === undefined) findings.missing(path, `${message}; it is missing`);
  else findings.problem(path, `${message}${describeFound(found, path)}`);
}

function explainUnknown(key: string, parent: KeyPath, read: Read): string {
  const known = knownKeys(parent, read);
  const nearest = nearestWord(key, known);
  return nearest === null
    ? `unknown key; expected one of ${known.join(', ')}`
    : `unknown key; did you mean ${nearest}?`;
}

function knownKeys(path: KeyPath, read: Read): string[] {
  const schema = schemaAt(path, read);
  return schema?.def.type === 'object' ? Object.keys((schema as z.ZodObject).shape) : [];
}

/** The schema of the value at `path`, through optional values, lists, mappings and what a `type` decides. */
function schemaAt(path: KeyPath, { schema: whole, input }: Read): z.ZodType | undefined {
  let schema = chosen(whole, input);
  for (const [index, part] of path.entries()) {
    const next = schema === undefined ? undefined : within(schema, part);
    schema = next === undefined ? undefined : chosen(next, valueAt(input, path.slice(0, index + 1)));
  }
  return schema;
}

function within(schema: z.ZodType, part: string | number): z.ZodType | undefined {
  if (schema.def.type === 'object') return (schema as z.ZodObject).shape[part] as z.ZodType | undefined;
  if (schema.def.type === 'record') return (schema as z.ZodRecord).valueType as z.ZodType;
  if (schema.def.type === 'array') return (schema as z.ZodArray).element as z.ZodType;
  return undefined;
}

/** The schema of a value without what wraps it: of several by `type`, the one that value is of. */
function chosen(schema: z.ZodType, value: unknown): z.ZodType | undefined {
  const bare = unwrap(schema);
  if (!(bare instanceof z.ZodDiscriminatedUnion)) return bare;
  const type = valueAt(value, ['type']);
  const options = bare.options as readonly z.ZodObject[];
  return options.find(({ shape }) => (shape['type'] as z.ZodLiteral).value === type);
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema.def.type === 'optional' ? unwrap((schema as z.ZodOptional).unwrap() as z.ZodType) : schema;
}

function valueAt(input: unknown, path: KeyPath): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

const confidential = new Set([
  ...['secrets', 'tokens', 'auth', 'headers', 'url'],
  // Of brokers.
  ...['password', 'username', 'credentials', 'apiKey', 'tls', 'servers', 'brokers', 'endpoints'],
]);

/** What was found in place of it; of what may hold a secret only the type. */
function describeFound(value: unknown, path: KeyPath): string {
  if (value === null) return ', found nothing';
  if (Array.isArray(value)) return ', found a list';
  if (typeof value === 'object') return ', found a mapping';
  const secret = path.some((part) => typeof part === 'string' && confidential.has(part));
  if (typeof value === 'string') return secret ? '' : `, found the text ${quote(value)}`;
  const scalar = value as number | boolean;
  return secret ? `, found a ${typeof scalar}` : `, found ${scalar}`;
}
