/** What the schema found, as problems with a place and, for an unknown key, the key that was probably meant. */
import type * as z from 'zod';
import { nearestWord } from '../core/nearest.ts';
import { quote, type Findings, type KeyPath } from './findings.ts';
import { laterKeys } from './later.ts';
import { fileSchema } from './schema.ts';

export function reportIssues(issues: readonly z.core.$ZodIssue[], input: unknown, findings: Findings): void {
  for (const issue of issues) {
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) findings.keyProblem([...path, key], explainUnknown(key, path));
    } else if (issue.code === 'invalid_key') {
      findings.keyProblem(path, issue.issues[0]?.message ?? issue.message);
    } else {
      reportValue(issue.message, path, valueAt(input, path), findings);
    }
  }
}

function reportValue(message: string, path: KeyPath, found: unknown, findings: Findings): void {
  if (found === undefined) findings.missing(path, `${message}; it is missing`);
  else findings.problem(path, `${message}${describeFound(found, path)}`);
}

function explainUnknown(key: string, parent: KeyPath): string {
  const known = knownKeys(parent);
  const nearest = nearestWord(key, known);
  return nearest === null
    ? `unknown key; expected one of ${known.join(', ')}`
    : `unknown key; did you mean ${nearest}?`;
}

function knownKeys(path: KeyPath): string[] {
  const schema = schemaAt(path);
  const own = schema?.def.type === 'object' ? Object.keys((schema as z.ZodObject).shape) : [];
  return [...own, ...laterKeys(path)];
}

/** The schema of the value at `path`, through optional values, lists and mappings. */
function schemaAt(path: KeyPath): z.ZodType | undefined {
  let schema: z.ZodType | undefined = fileSchema;
  for (const part of path) {
    schema = schema === undefined ? undefined : within(unwrap(schema), part);
  }
  return schema === undefined ? undefined : unwrap(schema);
}

function within(schema: z.ZodType, part: string | number): z.ZodType | undefined {
  if (schema.def.type === 'object') return (schema as z.ZodObject).shape[part] as z.ZodType | undefined;
  if (schema.def.type === 'record') return (schema as z.ZodRecord).valueType as z.ZodType;
  if (schema.def.type === 'array') return (schema as z.ZodArray).element as z.ZodType;
  return undefined;
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

const confidential = new Set(['secrets', 'tokens', 'auth', 'headers', 'url']);

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
