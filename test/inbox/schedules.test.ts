/** Whatever the order, the repeats and the failures, each revision has its effect at most once, and the last one has it. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { processOnce } from '../../src/inbox/index.ts';
import { consumerDatabase, effect, uuid7, type ConsumerDatabase } from './fixtures.ts';

let database: ConsumerDatabase;
beforeAll(async () => {
  database = await consumerDatabase();
});

/** How an attempt to process ends: it commits, the caller rolls back, the handler throws, the connection is lost. */
const fates = ['commit', 'commit', 'rollback', 'throw', 'swallow', 'lost'] as const;

interface Attempt {
  readonly message: number;
  readonly revision: number;
  readonly fate: (typeof fates)[number];
  readonly wait: boolean;
  readonly isolation: string;
}

const attempt: fc.Arbitrary<Attempt> = fc.record({
  message: fc.nat(2),
  revision: fc.integer({ min: 1, max: 3 }),
  fate: fc.constantFrom(...fates),
  wait: fc.boolean(),
  isolation: fc.constantFrom('read committed', 'serializable'),
});

/** Answers whether the message may be acknowledged. */
async function process(ids: readonly string[], { message, revision, fate, wait, isolation }: Attempt) {
  const client = await database.pool.connect();
  const ignore = () => undefined;
  client.on('error', ignore);
  let acknowledged = false;
  let lost = false;
  try {
    await client.query(`begin isolation level ${isolation}`);
    const options = { consumer: 'bank', messageId: `${ids[message]}:r${revision}`, wait };
    const done = processOnce(client, { ...options, onRevision: 'apply' }, async (context) => {
      await effect(client, `${context.messageId} ${context.revision}`);
      if (fate === 'throw' || fate === 'swallow') throw new Error('on purpose');
    });
    const thrown =
      fate === 'swallow' ? await done.then(ignore, (error: unknown) => error) : void (await done);
    if (fate === 'lost') {
      lost = true;
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      await database.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    }
    const { command } = await client.query(fate === 'rollback' ? 'rollback' : 'commit');
    // What throws may not be acknowledged, whatever became of the transaction.
    acknowledged = command === 'COMMIT' && thrown === undefined;
  } catch (error) {
    if (!lost) await client.query('rollback');
    const known = /on purpose|IN_PROGRESS|40001|40P01|57P01|terminat|not queryable/;
    const { code = '', message: text } = error as Error & { code?: string };
    if (!known.test(`${code} ${text}`)) throw error;
  } finally {
    client.off('error', ignore);
    client.release(lost);
  }
  return acknowledged;
}

test('in any schedule', async () => {
  const lanes = fc.array(fc.array(attempt, { maxLength: 6 }), { minLength: 2, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(lanes, async (schedule) => {
      const ids = [uuid7(), uuid7(), uuid7()];
      const acknowledged = new Map<number, number>();
      const note = ({ message, revision }: Attempt) =>
        acknowledged.set(message, Math.max(revision, acknowledged.get(message) ?? 0));
      await Promise.all(
        schedule.map(async (lane) => {
          for (const each of lane) if (await process(ids, each)) note(each);
        }),
      );
      const effects = await database.effects();
      for (const [index, id] of ids.entries()) {
        const applied = effects.filter((each) => each.startsWith(id)).map((each) => Number(each.slice(37)));
        // Rising, so none twice and none out of order.
        expect(applied).toEqual([...new Set(applied)].sort((a, b) => a - b));
        // What was acknowledged is there. A lost connection may have committed, which its caller cannot know.
        expect(applied.at(-1) ?? 0).toBeGreaterThanOrEqual(acknowledged.get(index) ?? 0);
      }
    }),
    { numRuns: 60 },
  );
});
