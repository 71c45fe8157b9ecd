/** An event joins the trace of the request that wrote it, by OpenTelemetry's own API. */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  context,
  createTraceState,
  ROOT_CONTEXT,
  trace,
  TraceFlags,
  type Context,
  type ContextManager,
} from '@opentelemetry/api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enqueue } from '../../src/produce/enqueue.ts';
import type { NewEvent } from '../../src/produce/event.ts';
import { createTestDatabase, type TestDatabase } from '../support/index.ts';

const storage = new AsyncLocalStorage<Context>();
const manager: ContextManager = {
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (active, work, thisArg, ...args) => storage.run(active, () => work.apply(thisArg, args) as never),
  bind: (_active, target) => target,
  enable: () => manager,
  disable: () => manager,
};
const [traceId, spanId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  context.setGlobalContextManager(manager);
});
afterAll(() => context.disable());

async function headersOf(event: Partial<NewEvent>): Promise<unknown> {
  const whole = { type: 'order.created', payload: {}, ...event } as NewEvent;
  const { id } = await enqueue(database.pool, whole, { ownTransaction: true });
  const [row] = await database.rows<{ headers: unknown }>('select headers from outbox.events where id = $1', [
    id,
  ]);
  return row?.headers;
}

function inSpan<T>(work: () => T, over: { traceId?: string; traceState?: string } = {}): T {
  const { traceState = '' } = over;
  const spanContext = {
    traceId: over.traceId ?? traceId,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    ...(traceState === '' ? {} : { traceState: createTraceState(traceState) }),
  };
  return context.with(trace.setSpan(ROOT_CONTEXT, trace.wrapSpanContext(spanContext)), work);
}

test('within a span an event carries its trace context, beside its own headers', async () => {
  const traceparent = `00-${traceId}-${spanId}-01`;
  expect(await inSpan(() => headersOf({ headers: { a: 'b' } }))).toEqual({ a: 'b', traceparent });
  expect(await inSpan(() => headersOf({}), { traceState: 'v=1' })).toEqual({
    traceparent,
    tracestate: 'v=1',
  });
});

test('outside of one, in an invalid one, or with a context of its own it is left as it is', async () => {
  expect(await headersOf({})).toEqual({});
  expect(await inSpan(() => headersOf({}), { traceId: '0'.repeat(32) })).toEqual({});
  expect(await inSpan(() => headersOf({ headers: { Traceparent: 'mine' } }))).toEqual({
    Traceparent: 'mine',
  });
});

test('an event that may be written again under its own name is the same in another span', async () => {
  const event = { type: 'order.created', payload: {}, dedupKey: 'once' };
  const first = await enqueue(database.pool, event, { ownTransaction: true });
  const again = await inSpan(() => enqueue(database.pool, event, { ownTransaction: true }));
  expect(again).toEqual({ id: first.id, inserted: false });
});
