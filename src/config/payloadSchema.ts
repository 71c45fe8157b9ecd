/** A JSON Schema of draft 2020-12, compiled. */
import { createRequire } from 'node:module';
import type { Ajv2020 } from 'ajv/dist/2020.js';
import type { SchemaIssue } from '../produce/standardSchema.ts';

/** What is wrong with a payload; null when nothing is. Only the first thing is looked for: a payload may have a million. */
export type PayloadCheck = (payload: unknown) => SchemaIssue | null;

// Loaded where a configuration has schemas, and nowhere else.
const require = createRequire(import.meta.url);

/**
 * `format` is taken as a remark, as the draft has it, and references lead nowhere outside. A misspelt keyword is an error.
 *
 * @throws Error for what is no such schema
 */
export function compileSchema(schema: object): PayloadCheck {
  const { Ajv2020: Validator } = require('ajv/dist/2020.js') as { Ajv2020: typeof Ajv2020 };
  const ajv = new Validator({
    strict: true,
    strictRequired: false,
    strictTypes: false,
    strictTuples: false,
    validateFormats: false,
    logger: false,
  });
  const validate = ajv.compile(schema);
  if ('$async' in validate) throw new Error('$async is not of the draft');
  return (payload) => {
    if (validate(payload)) return null;
    const [{ instancePath = '', message = 'is refused', params = {} } = {}] = validate.errors ?? [];
    const extra = (params as { additionalProperty?: unknown }).additionalProperty;
    const said = typeof extra === 'string' ? `${message} (${JSON.stringify(extra)})` : message;
    return { message: said, path: stepsOf(instancePath) };
  };
}

/** A JSON Pointer (RFC 6901). */
function stepsOf(pointer: string): (string | number)[] {
  const steps = pointer.split('/').slice(1);
  return steps.map((step) => {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    return /^\d+$/.test(name) ? Number(name) : name;
  });
}
