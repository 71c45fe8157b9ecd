/**
 * Half messages of each kind, side by side, from real producer processes that are killed, while `run` is killed and Temporal is stopped
 * in between. What is delivered is what the producer's own database says, and people where nobody else knows. Three hundred of each,
 * or what HALF_MESSAGES says: a thousand take six minutes of a machine of their own.
 */
import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { messageSignals, messageUpdates } from '../../workflows/contract.ts';
import { statesOf } from '../halfMessages/support.ts';
import { eventually, runCli, type ReceivedRequest } from '../support/index.ts';
import { each, kinds, kindsThat, person } from './halfMessageKinds.ts';
import { checks, graceMs, openStage, type Fault, type Stage } from './halfMessageStage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const patience = { timeout: 600_000, interval: 250 };

test(
  `${each} of each kind, run killed and Temporal away in between: delivered is what the producer committed, or people did`,
  { timeout: 1_500_000 },
  async (context) => {
    onlyWithEverything(context, 'kills');
    const stage = await openStage();
    const { shop, answering, database, receiver } = stage;
    const producing = Promise.all(kindsThat(false).map((kind) => produceAsTold(stage, kind)));
    // Looked at below.
    producing.catch(() => undefined);

    await eventually(() => expect(receiver.requests.length).toBeGreaterThan(each / 2), patience);
    await stage.killRun();
    await askedAbout(stage, 'unknown', 2 * each);
    await stage.withoutTemporal(() => whatNeedsNoTemporal(stage));
    await askedAbout(stage, 'unknown', 6 * each);
    await stage.killRun();
    await producing;
    const byPeople = await peopleDecide(stage);

    await eventually(async () => expect((await statesOf(database))['prepared']).toBeUndefined(), patience);
    await eventually(
      async () => expect(await database.rows('select state from outbox.deliveries')).toEqual([]),
      patience,
    );
    // Their workflows are over.
    await eventually(
      async () => expect(await database.rows('select workflow_id from outbox.message_batches')).toEqual([]),
      patience,
    );
    const orders = await shop.rows<{ id: string; kind: string }>('select id, kind from orders');
    const delivered = new Set(receiver.requests.map(({ id }) => id));
    expect([...delivered].sort()).toEqual([...orders.map(({ id }) => id), ...byPeople].sort());
    expect(await tallyOf(stage)).toEqual(
      Object.fromEntries(Object.entries(kinds).map(([kind, { orders, ends }]) => [kind, { orders, ends }])),
    );
    await expectMarkersOf(stage, orders);

    const repeats = receiver.requests.length - delivered.size;
    const asked = answering.requests.length - new Set(answering.requests.map(({ id }) => id)).size;
    console.log(
      `${repeats} of ${delivered.size} events came twice (at most ${stage.mayRepeat()}), ${asked} questions`,
    );
    expect(repeats).toBeLessThanOrEqual(stage.mayRepeat());
    expect(receiver.requests.every(({ id, key }) => key === `billing/${id}`)).toBe(true);
    expect(await withoutUnanswered(stage, repeatsWithoutCause(receiver.requests, stage.faults))).toEqual([]);
    expect(repeatsWithoutCause(answering.requests, stage.faults).map(({ text }) => text)).toEqual([]);
  },
);

async function produceAsTold(stage: Stage, kind: string): Promise<void> {
  const told = await stage.produce(kind);
  expect({ kind, told }).toEqual({ kind, told: kinds[kind]?.told });
}

/** Prepared, committed and told, or overdue; nothing of it is delivered or asked about yet. */
async function whatNeedsNoTemporal(stage: Stage): Promise<void> {
  const { receiver, answering } = stage;
  const apart = kindsThat(true);
  await Promise.all(apart.map((kind) => produceAsTold(stage, kind)));
  expect(await idsOf(stage, `type = 'order.commitWithoutTemporal' and state = 'committed'`)).toHaveLength(
    each,
  );
  await eventually(
    async () =>
      expect(
        await idsOf(
          stage,
          `type = 'order.afterWithoutTemporal' and state = 'prepared'
             and prepared_at < now() - interval '${graceMs + 1_000} ms'`,
        ),
      ).toHaveLength(each),
    patience,
  );
  const ids = new Set(await idsOf(stage, `type = any ($1)`, [apart.map((kind) => `order.${kind}`)]));
  expect(receiver.requests.filter(({ id }) => ids.has(id))).toEqual([]);
  expect(answering.requests.filter(({ id }) => ids.has(messageOf(id)))).toEqual([]);
}

async function askedAbout({ answering }: Stage, kind: string, questions: number): Promise<void> {
  const mark = Buffer.from(`"order.${kind}"`);
  await eventually(
    () =>
      expect(answering.requests.filter(({ body }) => body.includes(mark)).length).toBeGreaterThan(questions),
    patience,
  );
}

/**
 * What stayed unknown was asked about as often as its schedule says, and waits. Every other one is committed: most by signals, with `run` killed in the
 * midst of them, some by updates, a few from the shell. Answers those that are to be delivered.
 */
async function peopleDecide(stage: Stage): Promise<string[]> {
  const { database, answering } = stage;
  const unknown = `type = 'order.unknown' and state = 'parked'`;
  await eventually(async () => expect(await idsOf(stage, unknown)).toHaveLength(each), patience);
  // Each has a workflow of its own by now.
  await eventually(
    async () =>
      expect(
        await database.rows('select 1 from outbox.message_batches where single and run > 0'),
      ).toHaveLength(each),
    patience,
  );
  const ids = await idsOf(stage, unknown);
  const questions = new Set(answering.requests.map(({ id }) => id));
  const asked = Array.from({ length: checks }, (_, index) => index + 1);
  const missing = ids.flatMap((id) =>
    asked.map((check) => `${id}:check-${check}`).filter((question) => !questions.has(question)),
  );
  expect(missing).toEqual([]);
  expect(ids.filter((id) => questions.has(`${id}:check-${checks + 1}`))).toEqual([]);

  const client = await stage.client();
  const ofIndex = (from: number, to: number) =>
    ids.slice(from, to).map((id, index) => [id, (from + index) % 2 === 0 ? 'commit' : 'rollback'] as const);
  const [byShell, byUpdate, bySignal] = [ofIndex(0, 6), ofIndex(6, 56), ofIndex(56, each)];
  await inTurns(byUpdate, async ([id, action]) => {
    const handle = client.workflow.getHandle(workflowOf(database.name, id));
    const answer = await handle.executeUpdate(messageUpdates[action], { args: [{ actor: person }] });
    expect(answer).toMatchObject({ outcome: 'done' });
  });
  const half = bySignal.length / 2;
  await inTurns(bySignal.slice(0, half), (each) => signal(client, database.name, ...each));
  await stage.killRun();
  await inTurns(bySignal.slice(half), (each) => signal(client, database.name, ...each));
  for (const [id, action] of byShell) {
    const { code, stderr } = await runCli(['messages', action, id, '--actor', person], {
      databaseUrl: database.url,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  }
  return ids.filter((_, index) => index % 2 === 0);
}

async function signal(
  client: Client,
  name: string,
  id: string,
  action: 'commit' | 'rollback',
): Promise<void> {
  const input = { actor: person, reason: 'looked it up' };
  await client.workflow.getHandle(workflowOf(name, id)).signal(messageSignals[action], input);
}

const workflowOf = (name: string, id: string): string => `${name}/preparedMessage/${id}`;

/** Twenty at a time. */
async function inTurns<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  for (let from = 0; from < items.length; from += 20)
    await Promise.all(items.slice(from, from + 20).map(work));
}

async function idsOf({ database }: Stage, which: string, values: unknown[] = []): Promise<string[]> {
  const rows = await database.rows<{ id: string }>(
    `select id from outbox.prepared_messages where ${which} order by id`,
    values,
  );
  return rows.map(({ id }) => id);
}

/** Of each kind, the orders in the shop and how its messages ended. */
async function tallyOf({ database, shop }: Stage) {
  const orders = await shop.rows<{ kind: string; n: number }>(
    'select kind, count(*)::int as n from orders group by 1',
  );
  const ends = await database.rows<{ kind: string; how: string; n: number }>(
    `select substr(type, 7) as kind, count(*)::int as n,
       state || ' by ' || case when type = 'order.late' then 'whoever was first' else settled_by end as how
     from outbox.prepared_messages group by 1, 3`,
  );
  return Object.fromEntries(
    Object.keys(kinds).map((kind) => [
      kind,
      {
        orders: orders.find((row) => row.kind === kind)?.n ?? 0,
        ends: Object.fromEntries(ends.filter((row) => row.kind === kind).map(({ how, n }) => [how, n])),
      },
    ]),
  );
}

/** One for each order, one for each message that a check-back found without; none of a message that was not prepared. */
async function expectMarkersOf(stage: Stage, orders: readonly { id: string }[]): Promise<void> {
  const markersOf = async (outcome: string): Promise<string[]> => {
    const rows = await stage.shop.rows<{ id: string }>(
      'select id from outbox_message_markers where outcome = $1 order by id',
      [outcome],
    );
    return rows.map(({ id }) => id);
  };
  expect(await markersOf('committed')).toEqual(orders.map(({ id }) => id).sort());
  expect(await markersOf('rolled-back')).toEqual(
    await idsOf(stage, `state = 'rolled-back' and (settled_by = 'check-back' or type = 'order.late')`),
  );
}

const messageOf = (question: string): string => question.replace(/:check-\d+$/, '');

/** What was in the sockets of a killed process arrives when a busy receiver comes to it. */
const underWayMs = 5_000;

interface Repeat {
  readonly id: string;
  readonly text: string;
}

/** Requests that came again although nothing was lost between the two. */
function repeatsWithoutCause(requests: readonly ReceivedRequest[], faults: readonly Fault[]): Repeat[] {
  const last = new Map<string, number>();
  return requests.flatMap(({ id, receivedAtMs }) => {
    const before = last.get(id);
    last.set(id, receivedAtMs);
    const hasCause = (at: number) =>
      faults.some(({ fromMs, toMs }) => at <= toMs + underWayMs && fromMs <= receivedAtMs);
    return before === undefined || hasCause(before)
      ? []
      : [{ id, text: `${id}: ${before} and ${receivedAtMs}` }];
  });
}

/**
 * This process is the receiver too: on a crowded machine it reads a request so late that its sender has stopped waiting,
 * and says so in its attempts. What the sender did get an answer to must not come again.
 */
async function withoutUnanswered({ database }: Stage, repeats: readonly Repeat[]): Promise<string[]> {
  const unanswered = await database.rows<{ event_id: string; attempts: string }>(
    `select event_id::text, string_agg(concat_ws(' ', at, duration_ms || ' ms', error_class, message), '; ') as attempts
     from outbox.attempts where event_id = any ($1) and status is null and error_class is not null group by 1`,
    [repeats.map(({ id }) => id)],
  );
  const attempts = new Map(unanswered.map((row) => [row.event_id, row.attempts]));
  for (const { id, text } of repeats) console.log(`repeated: ${text}: ${attempts.get(id) ?? 'answered'}`);
  return repeats.flatMap(({ id, text }) => (attempts.has(id) ? [] : [text]));
}
