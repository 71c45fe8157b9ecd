import { nearestWord } from '../core/nearest.ts';
import type { SqlClient } from './client.ts';
import { enqueue, type EnqueuedEvent, type EnqueueOptions } from './enqueue.ts';
import type { EventFields, NewEvent } from './event.ts';
import { invalidEvent, type JsonPayload } from './payload.ts';
import { issueText, type SchemaInput, type StandardSchema } from './standardSchema.ts';

/** Event type → its schema, of any library that speaks Standard Schema: Zod, Valibot, ArkType, … */
export type EventSchemas = Readonly<Record<string, StandardSchema>>;

/** An event of one of the types of a map. `payloadText` is for numbers that JavaScript cannot hold: JSON of the same shape, which the compiler cannot see. */
export type TypedEvent<Payloads> = {
  [Type in keyof Payloads & string]: Omit<EventFields, 'type'> & { readonly type: Type } & (
      | { readonly payload: Payloads[Type]; readonly payloadText?: undefined }
      | { readonly payloadText: string; readonly payload?: undefined }
    );
}[keyof Payloads & string];

export interface DefinedEvents<Payloads> {
  /** In the order given; empty where only TypeScript knows them. */
  readonly types: readonly (keyof Payloads & string)[];
  /**
   * As `enqueue` does, for events of these types alone. With schemas each payload is validated first, and what its schema makes of it is written.
   *
   * @throws OutboxError OUTBOX_EVENT_INVALID naming the place inside the payload, before anything is sent
   */
  enqueue(client: SqlClient, event: TypedEvent<Payloads>, options?: EnqueueOptions): Promise<EnqueuedEvent>;
  enqueue(
    client: SqlClient,
    events: readonly TypedEvent<Payloads>[],
    options?: EnqueueOptions,
  ): Promise<EnqueuedEvent[]>;
  /**
   * The event as it may be handed to `enqueue`, a publisher of NestJS or `prepareMessage`: checked where there are schemas.
   *
   * @throws OutboxError OUTBOX_EVENT_INVALID
   */
  checked(event: TypedEvent<Payloads>): Promise<NewEvent>;
}

/**
 * The types of a service's events and what their payloads are, so that the compiler finds a field that is misspelt, and, with schemas, a
 * service cannot write what its receivers were not promised.
 *
 * @example
 * const events = defineEvents<{ 'order.created': { id: string; total: number } }>();
 * await events.enqueue(client, { type: 'order.created', key: order.id, payload: order });
 *
 * @example
 * const events = defineEvents({ 'order.created': z.object({ id: z.string(), total: z.number() }) });
 */
export function defineEvents<
  Payloads extends { readonly [Type in keyof Payloads]: JsonPayload },
>(): DefinedEvents<Payloads>;
export function defineEvents<Schemas extends EventSchemas>(
  schemas: Schemas,
): DefinedEvents<{ readonly [Type in keyof Schemas]: SchemaInput<Schemas[Type]> }>;
export function defineEvents(schemas?: EventSchemas): unknown {
  const byType = schemas === undefined ? undefined : new Map(Object.entries(schemas));
  const checked = async (event: NewEvent): Promise<NewEvent> =>
    byType === undefined ? event : validated(event, byType);
  return {
    types: [...(byType?.keys() ?? [])],
    checked,
    enqueue: async (client: SqlClient, input: NewEvent | readonly NewEvent[], options?: EnqueueOptions) =>
      Array.isArray(input)
        ? enqueue(client, await Promise.all((input as readonly NewEvent[]).map(checked)), options)
        : enqueue(client, await checked(input as NewEvent), options),
  };
}

async function validated(event: NewEvent, schemas: ReadonlyMap<string, StandardSchema>): Promise<NewEvent> {
  const schema = schemas.get(event.type);
  if (schema === undefined) throw unknownType(event.type, [...schemas.keys()]);
  if (event.payloadBytes !== undefined)
    throw invalidEvent('payloadBytes', `events of type ${event.type} have a schema: their payload is JSON`);
  const { payloadText } = event;
  const value: unknown = payloadText === undefined ? event.payload : parsed(payloadText);
  const result = await schema['~standard'].validate(value);
  if (result.issues !== undefined)
    throw invalidEvent(event.type, result.issues.slice(0, 5).map(issueText).join('; '));
  // A text is written digit for digit; what the schema would make of it has lost them.
  return payloadText === undefined ? ({ ...event, payload: result.value } as NewEvent) : event;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidEvent('payload', `payloadText is not JSON: ${(error as Error).message}`);
  }
}

function unknownType(type: string, known: readonly string[]) {
  const nearest = nearestWord(String(type), known);
  const hint = nearest === null ? `there are ${known.join(', ')}` : `did you mean ${nearest}?`;
  return invalidEvent('type', `${JSON.stringify(type)} is none of those defined; ${hint}`);
}
