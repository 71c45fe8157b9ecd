import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { applyConfig, isApplied, readDestinations } from '../../src/storage/configuration.ts';
import { connect } from '../../src/storage/connect.ts';
import { applyTestConfig, atEnd, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { claimedBatch, databaseWith, writeEvents, yamlOf } from './fixtures.ts';

const two = yamlOf({ billing: {}, audit: {} }, `[{ match: 'order.*', to: [billing, audit] }]`);

/** Everything that an apply writes. */
async function applied({ rows }: TestDatabase): Promise<unknown[]> {
  return [
    await rows('select name, config_revision from outbox.settings'),
    await rows('select * from outbox.destinations order by name'),
    await rows(
      'select position, pattern, type_like, filter::text, filter_mode, destination from outbox.routes order by 1, 6',
    ),
    await rows('select revision, checksum from outbox.config_revisions order by 1'),
  ];
}

test('each change is a new revision, the same content again is none', async () => {
  const database = await createTestDatabase();
  expect(await applyTestConfig(database, two)).toMatchObject({
    revision: 1,
    changed: true,
    destinations: 2,
    routes: 1,
  });
  const before = await applied(database);
  expect(await applyTestConfig(database, two)).toEqual({ revision: 1, changed: false });
  expect(await applied(database)).toEqual(before);
  expect(await applyTestConfig(database, yamlOf({ billing: {} }))).toMatchObject({
    revision: 2,
    changed: true,
  });
  // An older file again is a change like any other.
  expect(await applyTestConfig(database, two)).toMatchObject({ revision: 3, changed: true });
  expect((await readDestinations(database.pool)).destinations.map(({ name }) => name)).toEqual([
    'audit',
    'billing',
  ]);
});

test('whether a file is what the database holds can be asked', async () => {
  const database = await databaseWith({ billing: {} });
  const parse = (text: string) =>
    parseConfig(`${text}\nname: ${database.name}\n`, { path: 'test.yaml', env: {} }).config;
  expect(await isApplied(database.pool, parse(yamlOf({ billing: {} })))).toBe(true);
  expect(await isApplied(database.pool, parse(two))).toBe(false);
});

test('another name is refused, from none to one as well', async () => {
  const database = await databaseWith({ billing: {} });
  const before = await applied(database);
  const other = applyTestConfig(database, `${yamlOf({ billing: {} })}name: another\n`);
  await expect(other).rejects.toMatchObject({
    code: 'OUTBOX_CONFIG_INVALID',
    message: `this database is named '${database.name}', the configuration says 'another'`,
    hint: expect.stringContaining('config rename') as string,
  });
  expect(await applied(database)).toEqual(before);
});

test('a destination with unsettled deliveries is not removed', async () => {
  const database = await databaseWith({ billing: {}, audit: {} }, `[{ match: '*', to: [billing, audit] }]`);
  await claimedBatch(database.pool, 1);
  const before = await applied(database);
  await expect(applyTestConfig(database, yamlOf({ audit: {} }))).rejects.toMatchObject({
    code: 'OUTBOX_CONFIG_INVALID',
    message: 'destination billing still has unsettled deliveries',
    hint: expect.stringContaining('Take its routes away first') as string,
  });
  expect(await applied(database)).toEqual(before);

  // Its routes can go; what is there is still delivered.
  await applyTestConfig(database, yamlOf({ audit: {}, billing: {} }));
  await writeEvents(database.pool, 1);
  expect(
    await database.rows(
      'select destination, count(*)::int as n from outbox.deliveries group by 1 order by 1',
    ),
  ).toEqual([
    { destination: 'audit', n: 2 },
    { destination: 'billing', n: 1 },
  ]);
  await database.pool.query(`delete from outbox.deliveries where destination = 'billing'`);
  await applyTestConfig(database, yamlOf({ audit: {} }));
  expect(await database.rows('select name from outbox.destinations')).toEqual([{ name: 'audit' }]);
});

test('what a person paused stays paused over a change of its configuration', async () => {
  const database = await databaseWith({ billing: {} });
  await database.pool.query(
    `update outbox.destinations set paused_at = now(), paused_reason = 'maintenance'`,
  );
  await applyTestConfig(database, yamlOf({ billing: { maximum: 7 } }));
  expect(await database.rows('select paused_reason, batch_maximum from outbox.destinations')).toEqual([
    { paused_reason: 'maintenance', batch_maximum: 7 },
  ]);
});

test.each([
  ['no jsonpath', '$.total >', /^where: '\$\.total >' is no jsonpath that PostgreSQL understands: /],
  ['an unknown regular-expression flag', '$.a like_regex "x" flag "z"', /^where: .* like_regex/],
  [
    'a variable, which would fail every producer',
    '$.total > $limit',
    /^where: .*uses a variable, and there are none/,
  ],
  ['a variable beside a text that looks like none', '$.a == "$x" && $.b == $y', /uses a variable/],
])('a filter with %s is refused, naming it, and nothing is applied', async (_what, where, message) => {
  const database = await databaseWith({ billing: {} });
  const before = await applied(database);
  const applying = applyTestConfig(
    database,
    yamlOf(
      { billing: {}, audit: {} },
      `[{ match: 'a', to: [audit] }, { match: '*', where: '${where}', to: [billing] }]`,
    ),
  );
  await expect(applying).rejects.toMatchObject({
    code: 'OUTBOX_CONFIG_INVALID',
    message: expect.stringMatching(message) as string,
  });
  expect(await applied(database)).toEqual(before);
  await writeEvents(database.pool, 1);
});

test('filters are reported with the operator they were taken for', async () => {
  const database = await createTestDatabase();
  const routes = `[{ match: a, where: '$.x > 1', to: [billing] }, { match: b, where: '$.x ? (@ > 1)', to: [billing] }]`;
  expect(await applyTestConfig(database, yamlOf({ billing: {} }, routes))).toMatchObject({
    filterModes: { 'a ($."x" > 1)': 'predicate', 'b $."x"?(@ > 1)': 'items' },
  });
});

test('two applies at once are two revisions, one after the other; the same one twice is one', async () => {
  const database = await createTestDatabase();
  const other = connect(database.url);
  atEnd(() => other.end());
  const [a, b] = await Promise.all([
    applyTestConfig(database, yamlOf({ billing: {} })),
    applyTestConfig({ ...database, pool: other }, yamlOf({ audit: {} })),
  ]);
  expect([a.revision, b.revision].sort()).toEqual([1, 2]);
  const last = a.revision === 2 ? 'billing' : 'audit';
  expect(await database.rows('select name from outbox.destinations')).toEqual([{ name: last }]);
  const same = await Promise.all(
    [database.pool, other].map((pool) => applyTestConfig({ ...database, pool }, two)),
  );
  expect(same.map(({ changed }) => changed).sort()).toEqual([false, true]);
});

test('producers go on while a configuration is applied', async () => {
  const database = await databaseWith({ billing: {} });
  const client = await database.pool.connect();
  await client.query('begin');
  const text = `${two}\nname: ${database.name}\n`;
  const { config } = parseConfig(text, { path: 'test.yaml', env: {} });
  await applyConfig(client, config, text, 'test');
  await database.pool.query(
    `set lock_timeout = '2s'; insert into outbox.events (type, payload) values ('before', '{}')`,
  );
  await client.query('commit');
  client.release();
  await database.pool.query(`insert into outbox.events (type, payload) values ('order.after', '{}')`);
  expect(
    await database.rows(
      'select e.type, d.destination from outbox.deliveries d join outbox.events e on e.id = d.event_id order by d.seq',
    ),
  ).toEqual([
    { type: 'before', destination: 'billing' },
    { type: 'order.after', destination: 'audit' },
    { type: 'order.after', destination: 'billing' },
  ]);
});
