import { expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import { atEnd, eventually, startReceiver, type Script } from '../support/index.ts';
import { allDelivered, auditOf, charged, openStage, openWorkflows, stands } from './stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const poisoned: Script = ({ body }) => (body.toString().includes('poison') ? 500 : 204);

test('Retry-After is waited for before the next probe, and clamped', async () => {
  const stage = await openStage({
    answer: { status: 503, headers: { 'retry-after': '3600' } },
    billing: 'retry: { retryAfter: { maximum: 4s } }',
  });
  const ids = await stage.send(30);
  const { nextProbeMs } = await stands(stage, 'open');
  expect(nextProbeMs).toBeGreaterThan(1_000);
  expect(nextProbeMs).toBeLessThanOrEqual(4_000);
  const lastBefore = stage.billing.requests.at(-1)?.receivedAtMs ?? 0;
  const count = stage.billing.requests.length;
  stage.billing.answer(204);
  await allDelivered(stage.database, ids);
  expect((stage.billing.requests[count]?.receivedAtMs ?? 0) - lastBefore).toBeGreaterThanOrEqual(3_000);
});

test('a destination that flaps charges nobody, and everything arrives in the end', async (context) => {
  onlyWithEverything(context, 'it takes a minute of a busy machine');
  let up = false;
  const stage = await openStage({ answer: () => (up ? 204 : 503) });
  const flapping = setInterval(() => (up = !up), 1_000);
  atEnd(() => clearInterval(flapping));
  const ids = await stage.send(700);
  await stands(stage, 'open');
  await allDelivered(stage.database, ids, { timeout: 90_000 });
  expect(await charged(stage.database)).toBe(0);
});

test('a poison event does not keep a circuit open: it is charged as soon as another one goes through beside it', async () => {
  let down = true;
  const stage = await openStage({
    answer: (request, count) => (down ? 503 : poisoned(request, count)),
    billing: 'retry: { initialInterval: 1h, maximumInterval: 1h }',
  });
  // In one transaction: sent ahead by itself it would be retried an hour later, before any circuit opened.
  const [poison = '', ...others] = await stage.send(41, (number) => (number === 0 ? { poison: true } : {}));
  await stands(stage, 'open');
  down = false;
  await allDelivered(stage.database, others);
  await stands(stage, 'closed');
  await eventually(async () =>
    expect(
      await stage.database.rows('select state, attempts from outbox.deliveries where event_id = $1', [
        poison,
      ]),
    ).toEqual([{ state: 'retry', attempts: 1 }]),
  );
  // It has a workflow of its own again.
  await eventually(async () => expect(await openWorkflows(stage)).toEqual({ housekeeping: 1, deliver: 1 }));
});

test('probes take the events tried least: many poison events at the head do not stand for their destination', async () => {
  const stage = await openStage({
    answer: poisoned,
    billing: 'retry: { initialInterval: 1h, maximumInterval: 1h }',
  });
  await stage.send(60, { poison: true });
  await stands(stage, 'open');
  const good = await stage.send(5);
  await allDelivered(stage.database, good);
});

test('the only event that waits pays for its refusals itself after five failed probes, and parks in the end', async () => {
  const stage = await openStage({
    answer: poisoned,
    circuit: 'minimumRequests: 1',
    billing: 'retry: { initialInterval: 20ms, maximumAttempts: 2, backoffCoefficient: 1 }',
  });
  const [poison = ''] = await stage.send(1, { poison: true });
  const { failedProbes } = await eventually(async () => {
    const standing = await stands(stage, 'open');
    expect(standing.failedProbes).toBeGreaterThanOrEqual(3);
    return standing;
  });
  expect(failedProbes).toBeLessThan(10);
  await eventually(
    async () =>
      expect(
        await stage.database.rows('select reason, attempts from outbox.dead_letters where event_id = $1', [
          poison,
        ]),
      ).toEqual([{ reason: 'attempts-exhausted', attempts: 2 }]),
    { timeout: 40_000 },
  );
  // Nothing waits any more: the next event is the probe.
  await stands(stage, 'closed');
  await allDelivered(stage.database, await stage.send(1));
});

test('circuit.probeUrl is asked in place of sending events, with the destination’s own headers', async () => {
  let well = false;
  const health = await startReceiver({ path: '/health', answer: () => (well ? 200 : 500) });
  const stage = await openStage({
    answer: 503,
    circuit: `probeUrl: '${health.url}'`,
    billing: `headers: { x-tenant: acme }`,
  });
  const ids = await stage.send(50);
  await stands(stage, 'open');
  const before = stage.billing.requests.length;
  await eventually(() => expect(health.requests.length).toBeGreaterThanOrEqual(3));
  expect(stage.billing.requests).toHaveLength(before);
  expect(health.requests[0]).toMatchObject({ method: 'GET', headers: { 'x-tenant': 'acme' }, id: '' });
  stage.billing.answer(204);
  well = true;
  await allDelivered(stage.database, ids);
  await stands(stage, 'closed');
});

test('a probe address that never answers is given up after the timeout, and is no success', async () => {
  const health = await startReceiver({ answer: 'hang' });
  const stage = await openStage({
    answer: 503,
    circuit: `probeUrl: '${health.url}'`,
    billing: 'timeout: 500ms',
  });
  await stage.send(20);
  await eventually(async () => {
    const standing = await stands(stage, 'open');
    expect(standing).toMatchObject({ lastErrorClass: 'timeout' });
    expect(standing.failedProbes).toBeGreaterThanOrEqual(2);
  });
});

test('500s that were charged before the circuit opened are refunded', async () => {
  const stage = await openStage({
    answer: 500,
    billing: 'batch: { maximum: 3, inFlight: 1 }, retry: { initialInterval: 1h, maximumInterval: 1h }',
    probeAfter: '1m',
  });
  const { pool } = stage.database;
  for (let batch = 0; batch < 4; batch++) {
    await enqueue(pool, times3(), { ownTransaction: true });
    await eventually(async () =>
      expect((await stage.database.rows('select 1 from outbox.attempts')).length).toBeGreaterThanOrEqual(
        3 * (batch + 1),
      ),
    );
  }
  await stands(stage, 'open');
  await eventually(async () => expect(await charged(stage.database)).toBe(0));
  const rows = await stage.database.rows('select 1 from outbox.deliveries where attempts > 0');
  expect(rows).toEqual([]);
  expect((await auditOf(stage.database)).map(({ action }) => action)).toEqual(['open']);
});

function times3(): { type: string; payload: object }[] {
  return [1, 2, 3].map((number) => ({ type: 'order.created', payload: { number } }));
}
