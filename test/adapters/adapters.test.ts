/** Each data layer that docs/producers.md names, on the real PostgreSQL. */
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { enqueue, type NewEvent, type SqlClient } from '../../src/index.ts';
import { atEnd, type TestDatabase } from '../support/index.ts';
import { databaseWith } from '../storage/fixtures.ts';

interface Layer {
  transaction(
    work: (client: SqlClient, run: (sql: string) => Promise<unknown>) => Promise<unknown>,
  ): Promise<unknown>;
  outside(): SqlClient;
  close(): Promise<void>;
}

const { layers } = (await import(new URL('layers.mjs', import.meta.url).href)) as {
  layers: Record<string, (url: string) => Promise<Layer>>;
};
const isInstalled = existsSync(new URL('project/node_modules', import.meta.url));

let database: TestDatabase;
beforeAll(async () => {
  database = await databaseWith({ billing: {} });
  await database.pool.query('create table things (id int)');
});

const stored = (type: string) =>
  database.rows<{ payload: string; key: string | null }>(
    'select payload::text, key from outbox.events where type = $1 order by key nulls last',
    [type],
  );

const hard = `{"a":"it's \\"?\\" $1 $$ :x {,} \\\\ ü🙂 null\\n","n":12345678901234567890.10,"list":[[],{},null]}`;

describe.each(Object.keys(layers))('%s', (name) => {
  const type = (what: string): string => `${what}.${name.replace(/\W+/g, '-')}`;

  test('commit delivers once, rollback never was, hard values arrive, a conflict has its code, outside of a transaction is refused', async (context) => {
    if (!isInstalled) context.skip('the libraries of test/adapters/project are not installed');
    const layer = await (layers[name] as (url: string) => Promise<Layer>)(database.url);
    atEnd(() => layer.close());

    const at = new Date('2031-02-03T04:05:06.789Z');
    const events: NewEvent[] = [
      { type: type('commit'), payloadText: hard, key: `k'?"$1`, headers: { x: `{"?",$2}` }, deliverAt: at },
      {
        type: type('commit'),
        payload: { at, gone: undefined },
        source: 's',
        subject: '?',
        dedupKey: type('d'),
      },
    ];
    let ids: string[] = [];
    await layer.transaction(async (client, run) => {
      await run('insert into things values (1)');
      ids = (await enqueue(client, events)).map(({ id }) => id);
    });
    expect(ids).toHaveLength(2);
    expect(await stored(type('commit'))).toEqual([
      {
        payload: (await database.rows<{ t: string }>('select $1::jsonb::text as t', [hard]))[0]?.t,
        key: `k'?"$1`,
      },
      { payload: '{"at": "2031-02-03T04:05:06.789Z"}', key: null },
    ]);
    expect(
      await database.rows('select headers, deliver_at from outbox.events where id = $1', [ids[0]]),
    ).toEqual([{ headers: { x: `{"?",$2}` }, deliver_at: at }]);
    expect(
      await database.rows('select 1 from outbox.deliveries where event_id = any ($1::uuid[])', [ids]),
    ).toHaveLength(2);

    await expect(
      layer.transaction(async (client, run) => {
        await run('insert into things values (2)');
        await enqueue(client, { type: type('rollback'), payload: 1 });
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    expect(await stored(type('rollback'))).toEqual([]);
    expect(await database.rows('select 1 from things where id = 2')).toEqual([]);

    const conflict = (client: SqlClient) =>
      enqueue(client, { type: 'other', payload: 1, dedupKey: type('d') });
    await expect(layer.transaction(conflict)).rejects.toMatchObject({
      code: 'OUTBOX_EVENT_CONFLICT',
      message: expect.stringMatching(/^event [0-9a-f-]{36} exists with other content$/) as string,
    });

    await expect(enqueue(layer.outside(), { type: type('outside'), payload: 1 })).rejects.toMatchObject({
      code: 'OUTBOX_CLIENT_INVALID',
    });
    expect(await stored(type('outside'))).toEqual([]);
    await enqueue(layer.outside(), { type: type('outside'), payload: 1 }, { ownTransaction: true });
    expect(await stored(type('outside'))).toHaveLength(1);
  });
});
