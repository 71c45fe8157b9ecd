/** The schemas of outbox.yaml for a producer that has the file beside it. */
import type { OutboxConfig } from '../core/destination.ts';
import type { EventSchemas } from '../produce/defineEvents.ts';
import type { StandardSchema } from '../produce/standardSchema.ts';
import { compileSchema } from './payloadSchema.ts';

/**
 * Event types of a configuration, with a schema each, as `defineEvents` takes them; of a type without one any payload is taken. What is
 * checked is the JSON that a payload becomes.
 *
 * @example
 * const { config } = await loadConfig('outbox.yaml', process.env, { missingEnvironment: 'warn' });
 * const events = defineEvents(eventSchemas(config));
 */
export function eventSchemas({ events = {} }: Pick<OutboxConfig, 'events'>): EventSchemas {
  return Object.fromEntries(
    Object.entries(events).map(([type, { schema }]) => [type, schema === null ? anything : standard(schema)]),
  );
}

const anything: StandardSchema = {
  '~standard': { version: 1, vendor: 'temporal-outbox', validate: (value) => ({ value }) },
};

function standard(schema: object): StandardSchema {
  const check = compileSchema(schema);
  const validate = (value: unknown) => {
    const issue = check(asJson(value));
    return issue === null ? { value } : { issues: [issue] };
  };
  return { '~standard': { version: 1, vendor: 'temporal-outbox', validate } };
}

/** As it is where it cannot be JSON: `enqueue` says why. */
function asJson(value: unknown): unknown {
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined ? value : JSON.parse(text);
  } catch {
    return value;
  }
}
