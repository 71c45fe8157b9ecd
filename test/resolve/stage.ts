/** A database, ours running over it, and two receivers whose answers the events themselves ask for. */
import type { Client } from '@temporalio/client';
import { expect } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  temporalClient,
  type Patience,
  type ReceivedRequest,
  type Receiver,
  type Script,
  type TestDatabase,
  type TestRun,
} from '../support/index.ts';

export interface Stage {
  readonly database: TestDatabase;
  readonly client: Client;
  readonly running: TestRun;
  /** Receives what goes to the destination `billing`, and answers what the payload's `answer` and `delayMs` say, 204 at once without. */
  readonly billing: Receiver;
  /** Behind the destination `spare`, which no route leads to. */
  readonly spare: Receiver;
  /** From now on this event is acknowledged, whatever its payload says. */
  heal(...eventIds: string[]): void;
  /** From now on this event's answers take so long. */
  delay(eventId: string, ms: number): void;
  /** Writes events that are refused, and answers their ids at once. */
  write(count?: number): Promise<string[]>;
  /** Writes events that are refused for good, and answers their ids once all are parked. */
  park(count?: number): Promise<string[]>;
  /** The same, for one: its id and the id of the workflow that holds it. */
  parkOne(): Promise<{ readonly id: string; readonly workflowId: string }>;
}

export interface StageOptions {
  /** More keys of the destination `billing`, as YAML flow entries: `retry: { maximumAttempts: 2 }`. */
  readonly billing?: string;
  readonly type?: string;
  /** More sections of outbox.yaml, each a line. */
  readonly more?: string;
  /** In place of the shared server. */
  readonly temporal?: { readonly address: string; readonly namespace: string };
  /** In place of the database's own, for pictures. */
  readonly name?: string;
}

export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const healed = new Set<string>();
  const delays = new Map<string, number>();
  const asThePayloadSays: Script = (request) => ({
    status: healed.has(bareId(request)) ? 204 : (askedFor(request).answer ?? 204),
    delayMs: delays.get(bareId(request)) ?? askedFor(request).delayMs ?? 0,
  });
  const [database, billing, spare, client] = await Promise.all([
    createTestDatabase(),
    startReceiver({ answer: asThePayloadSays }),
    startReceiver(),
    temporalClient(options.temporal),
  ]);
  const more = options.billing === undefined ? '' : `, ${options.billing}`;
  await applyTestConfig(
    database,
    `
    destinations:
      billing: { type: http, url: '${billing.url}', circuit: { enabled: false }${more} }
      spare: { type: http, url: '${spare.url}' }
    routes: [{ match: '*', to: [billing] }]${options.name === undefined ? '' : `\n    name: ${options.name}`}${options.more === undefined ? '' : `\n    ${options.more}`}`,
  );
  const running = await startRun({
    databaseUrl: database.url,
    ...(options.temporal === undefined ? {} : { temporal: options.temporal }),
  });
  const type = options.type ?? 'order.created';
  const write = async (count = 1): Promise<string[]> => {
    const events = Array.from({ length: count }, (_, number) => ({ type, payload: { number, answer: 422 } }));
    return (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  };
  const park = async (count = 1): Promise<string[]> => {
    const ids = await write(count);
    await eventually(async () => expect(await held(database, ids)).toBe(count));
    return ids;
  };
  return {
    database,
    client,
    running,
    billing,
    spare,
    heal: (...eventIds) => eventIds.forEach((id) => healed.add(id)),
    delay: (eventId, ms) => void delays.set(eventId, ms),
    write,
    park,
    parkOne: async () => {
      const [id = ''] = await park(1);
      const [letter] = await openDeadLetters(database, [id]);
      const workflowId = letter?.workflow_id ?? '';
      // Its row names the workflow a moment before the batch's workflow starts it.
      await eventually(() => statusOf(client, workflowId));
      return { id, workflowId };
    },
  };
}

function askedFor({ body }: ReceivedRequest): { answer?: number; delayMs?: number } {
  try {
    return (JSON.parse(body.toString()) as { answer?: number; delayMs?: number } | null) ?? {};
  } catch {
    return {}; // A payload need not be JSON.
  }
}

function bareId({ id }: ReceivedRequest): string {
  return id.replace(/:r\d+$/, '');
}

/** How many of them are parked in a workflow that has come through its attempt, the split of up to five after it included. */
async function held(database: TestDatabase, eventIds: readonly string[]): Promise<number> {
  const rows = await database.rows(
    `select 1 from outbox.deliveries d join outbox.batches b on b.id = d.batch_id
     where d.event_id = any ($1) and d.state = 'parked' and not b.active
       and (b.single or (select count(*) from outbox.deliveries o where o.batch_id = b.id) > 5)`,
    [eventIds],
  );
  return rows.length;
}

export interface DeadLetterRow {
  readonly id: string;
  readonly event_id: string;
  readonly workflow_id: string;
  readonly park_no: number;
  readonly reason: string;
  readonly attempts: number;
  readonly tries: number;
  readonly resolution: string | null;
  readonly resolved_by: string | null;
  readonly resolution_reason: string | null;
  readonly redirected_to: string | null;
}

export async function openDeadLetters(
  database: TestDatabase,
  eventIds: readonly string[],
): Promise<DeadLetterRow[]> {
  return database.rows<DeadLetterRow>(
    'select * from outbox.dead_letters where event_id = any ($1) and resolved_at is null order by id',
    [eventIds],
  );
}

/** All park episodes of an event, the first one first. */
export async function episodes(database: TestDatabase, eventId: string): Promise<DeadLetterRow[]> {
  return database.rows<DeadLetterRow>('select * from outbox.dead_letters where event_id = $1 order by id', [
    eventId,
  ]);
}

export interface AuditLine {
  readonly action: string;
  readonly via: string;
  readonly actor: string | null;
  readonly outcome: string;
  readonly message: string;
  readonly events: number;
}

export async function auditOf(database: TestDatabase, workflowId: string): Promise<AuditLine[]> {
  return database.rows<AuditLine>('select * from outbox.audit where workflow_id = $1 order by id', [
    workflowId,
  ]);
}

export async function settled(
  database: TestDatabase,
  eventIds: readonly string[],
  patience?: Patience,
): Promise<void> {
  await eventually(async () => {
    const left = await database.rows('select 1 from outbox.deliveries where event_id = any ($1)', [eventIds]);
    expect(left).toHaveLength(0);
  }, patience);
}

/** Markdown of the workflow's page, as the Temporal UI shows it. */
export async function pageOf(client: Client, workflowId: string): Promise<string> {
  return client.workflow.getHandle(workflowId).query<string>('__temporal_workflow_metadata').then(detailsOf);
}

function detailsOf(metadata: unknown): string {
  return (metadata as { currentDetails?: string }).currentDetails ?? '';
}

/** Of the newest run where none is named. */
export async function statusOf(client: Client, workflowId: string, runId?: string): Promise<string> {
  return (await client.workflow.getHandle(workflowId, runId).describe()).status.name;
}

export async function runOf(client: Client, workflowId: string): Promise<string> {
  return (await client.workflow.getHandle(workflowId).describe()).runId;
}
