/** Dates that no reader can show. */
import { expect, test } from 'vitest';
import { eventually, runCli } from '../support/index.ts';
import { openField, produce, type FieldStage } from './stage.ts';

const columns = ['created_at', 'deliver_at'];
const odd = ['-infinity', 'infinity', '4713-01-01 BC', '99999-01-01'];

test('an event with a date that no reader can show is refused at insert', async () => {
  const { database } = await openField();
  for (const column of columns)
    for (const date of odd)
      await expect(
        database.rows(
          `insert into outbox.events (type, payload, ${column}) values ('order.created', '{}', $1)`,
          [date],
        ),
        `${column} ${date}`,
      ).rejects.toThrow(/violates check constraint/);
  expect(await database.rows('select 1 from outbox.events')).toEqual([]);
});

test('new days refuse them too', async () => {
  const { database } = await openField();
  await database.rows('select outbox.make_partitions(7, 32)');
  await expect(
    database.rows(
      `insert into outbox.events (id, type, payload, created_at)
       select (left(outbox.uuid7_floor(now() + interval '31 days')::text, 14) || '7' || right(outbox.uuid7_floor(now())::text, 21))::uuid, 'a', '{}', '-infinity'`,
    ),
  ).rejects.toThrow(/created_at_is_a_date/);
});

/** As one written before it was refused. */
async function writeOld({ database }: FieldStage, date: string): Promise<string> {
  await database.rows('alter table outbox.events drop constraint events_created_at_is_a_date');
  const [row] = await database.rows<{ id: string }>(
    `insert into outbox.events (type, payload, created_at) values ('order.created', '{}', $1) returning id`,
    [date],
  );
  await database.rows(
    `alter table outbox.events add constraint events_created_at_is_a_date
     check (created_at >= '0001-01-01 00:00:00+00' and created_at < '9999-12-31 00:00:00+00') not valid`,
  );
  return row?.id ?? '';
}

test.for(['-infinity', 'infinity', '4713-01-01 BC', '294000-01-01'])(
  'an old event of %s is described, sent and shown; nothing ends for it',
  async (date) => {
    const stage = await openField([], 'cloudEvents: structured');
    const { database, receiver, running } = stage;
    receiver.answer(503);
    const id = await writeOld(stage, date);
    await eventually(() => expect(receiver.of(id).length).toBeGreaterThan(0), { timeout: 20_000 });
    const asked = { databaseUrl: database.url };
    for (const args of [
      ['status', '--json'],
      ['status', '--check', '--json'],
      ['events', 'show', id, '--json'],
      ['doctor', '--json'],
    ]) {
      const { stdout, stderr } = await runCli(args, asked);
      expect(() => JSON.parse(stdout) as unknown, `${args.join(' ')}: ${stderr}`).not.toThrow();
      expect(stdout).not.toContain('infinite');
    }
    const metrics = await fetch(`${running.endpoints['metrics']}/metrics`);
    expect(await metrics.text()).toContain('outbox_database_up 1');
    receiver.answer(204);
    await produce(database, 10, 200);
  },
);
