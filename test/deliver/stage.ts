/** A database with one destination, `billing`, ours running over it, and the receiver behind it. */
import { expect } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type Answer,
  type Receiver,
  type Script,
  type TestDatabase,
  type TestRun,
} from '../support/index.ts';

export interface Stage {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  readonly running: TestRun;
  /** Writes events in one transaction and answers their ids; without a script each is answered as its payload's `answer` says. */
  readonly send: (...payloads: readonly object[]) => Promise<string[]>;
}

export interface StageOptions {
  readonly answer?: Answer | Script;
  /** Keys of the destination beside type and url, as YAML flow entries: `timeout: 1s, retry: { … }`. */
  readonly billing?: string;
}

export async function openStage({ answer, billing = '' }: StageOptions): Promise<Stage> {
  const [database, receiver] = await Promise.all([
    createTestDatabase(),
    startReceiver({ answer: answer ?? asThePayloadSays }),
  ]);
  await applyTestConfig(database, configOf(receiver.url, billing));
  const running = await startRun({ databaseUrl: database.url });
  return {
    database,
    receiver,
    running,
    send: async (...payloads) => {
      const events = payloads.map((payload) => ({ type: 'order.created', payload }));
      return (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
    },
  };
}

/** What is told here is each event's own policy; when failures are taken for their destination's is told in test/circuit. */
export function configOf(url: string, billing = ''): string {
  return `
    destinations: { billing: { type: http, url: '${url}', circuit: { enabled: false }${billing === '' ? '' : `, ${billing}`} } }
    routes: [{ match: '*', to: [billing] }]`;
}

const asThePayloadSays: Script = ({ body }) =>
  (JSON.parse(body.toString()) as { answer?: Answer }).answer ?? 204;

export interface Standing {
  readonly state: string;
  readonly tries: number;
  readonly attempts: number;
  readonly reason: string | null;
}

/** How each delivery stands: `delivered` once it has left the hot table. */
export async function standings(database: TestDatabase, ids: readonly string[]): Promise<Standing[]> {
  return database.rows<Standing>(
    `select coalesce(d.state, case when a.event_id is not null then 'delivered' else 'gone' end) as state,
            coalesce(d.tries, a.tries) as tries, d.attempts, l.reason
     from unnest($1::uuid[]) with ordinality u(id, position)
     left join outbox.deliveries d on d.event_id = u.id
     left join outbox.delivered a on a.event_id = u.id
     left join outbox.dead_letters l on l.event_id = u.id and l.resolved_at is null
     order by position`,
    [ids],
  );
}

export async function eventuallyStand(
  database: TestDatabase,
  ids: readonly string[],
  expected: Partial<Standing> | readonly Partial<Standing>[],
  timeout = 40_000,
): Promise<void> {
  const wanted = Array.isArray(expected) ? expected : ids.map(() => expected);
  await eventually(async () => expect(await standings(database, ids)).toMatchObject(wanted), { timeout });
}

/** Milliseconds between one request of an event and the next. */
export function gapsOf(receiver: Receiver, id: string): number[] {
  const times = receiver.of(id).map(({ receivedAtMs }) => receivedAtMs);
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

/** The workflow that an event gets when it is split off its batch. */
export function workflowOf(database: TestDatabase, id: string): string {
  return `${database.name}/deliver/billing/${id}`;
}
