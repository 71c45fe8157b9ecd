/** `events:` of outbox.yaml: event types, and the JSON Schemas of their payloads. */
import * as z from 'zod';
import type { EventTypeConfig } from '../core/destination.ts';
import type { KeyPath } from '../settings/findings.ts';
import { isMapping, type Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { section, text } from '../settings/shapes.ts';
import { notEnforceable } from './enforceable.ts';
import { compileSchema } from './payloadSchema.ts';

const typePattern = /^[^\u0000-\u001f\u007f*]{1,255}$/;
const typeExpected = 'expected an event type, 1 to 255 characters without * and control characters';

export const eventsSchema = z.record(
  z.string().regex(typePattern, { error: typeExpected }),
  section({
    description: text({ min: 1, max: 1000 }, 'a text')
      .optional()
      .describe('For people; events schema shows it.'),
    schema: z
      .record(z.string(), z.unknown(), { error: 'expected a JSON Schema, a mapping' })
      .optional()
      .describe('JSON Schema of the payload, draft 2020-12.'),
    enforced: z
      .boolean()
      .optional()
      .describe('The database itself refuses what does not fit, whoever writes it. Default false.'),
  }),
  { error: 'expected a mapping of event types to their schemas' },
);

export type EventsInput = z.infer<typeof eventsSchema>;

/** Each schema must be one: what it refuses is known before the first event is. */
export function checkEventTypes(events: Mapping, { findings }: RuleContext): void {
  for (const [type, written] of Object.entries(events)) {
    const { schema, enforced } = isMapping(written) ? written : {};
    if (!isMapping(schema)) {
      if (enforced === true) findings.problem(['events', type, 'enforced'], 'expected a schema beside it');
      continue;
    }
    const path: KeyPath = ['events', type, 'schema'];
    try {
      compileSchema(schema);
    } catch (error) {
      findings.problem(
        path,
        `expected a JSON Schema of draft 2020-12: ${(error as Error).message.slice(0, 300)}`,
      );
      continue;
    }
    const strange = enforced === true ? notEnforceable(schema) : null;
    if (strange !== null)
      findings.problem(['events', type, 'enforced'], `the database cannot check this schema: ${strange}`);
  }
}

export function normaliseEventTypes(input: EventsInput): Readonly<Record<string, EventTypeConfig>> {
  return Object.fromEntries(
    Object.entries(input).map(([type, { schema = null, description = null, enforced = false }]) => [
      type,
      { schema, description, ...(enforced ? { enforced } : {}) },
    ]),
  );
}
