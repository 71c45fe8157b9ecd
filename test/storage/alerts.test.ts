/** Alerts in SQL: what is looked for, who looks, what is said to whom, and how often. */
import { expect, test } from 'vitest';
import { lookForAlerts, type AlertLook } from '../../src/storage/alerts.ts';
import { applyTestConfig, createTestDatabase, type TestDatabase } from '../support/index.ts';
import { nowhere } from './fixtures.ts';

async function databaseWithAlerts(alerts: string): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const named = ['billing', 'ops', 'chat'].map((name) => `${name}: { type: http, url: '${nowhere}' }`);
  await applyTestConfig(
    database,
    `destinations: { ${named.join(', ')} }\nroutes: [{ match: '*', to: [billing] }]\nalerts: { ${alerts} }\n`,
  );
  return database;
}

/** As if so long had passed since the latest look. */
async function later({ pool }: TestDatabase, interval = '31 seconds'): Promise<AlertLook | null> {
  await pool.query(`update outbox.alert_look set looked_at = looked_at - $1::interval`, [interval]);
  await pool.query(
    `update outbox.alerts set seen_at = seen_at - $1::interval, said_at = said_at - $1::interval`,
    [interval],
  );
  return lookForAlerts(pool);
}

async function park({ pool }: TestDatabase, destination: string, type: string, count = 1): Promise<void> {
  await pool.query(
    `with cause as (
       insert into outbox.causes (id, destination, class, status, error) values ($1 || '/cause', $1, 'refused', 422, 'invalid sku …') returning id)
     insert into outbox.dead_letters (cause, event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries, last_status, last_error_class, last_error)
     select cause.id, outbox.uuid7(), $2, $1, 'deliver/x', 1, 1, 'permanent', 1, 1, 422, 'refused', 'invalid sku ' || n from cause, generate_series(1, $3::int) n`,
    [destination, type, count],
  );
}

interface Message {
  readonly destination: string;
  readonly payload: {
    readonly text: string;
    readonly alerts?: readonly { readonly state: string; readonly kind: string; readonly link: string }[];
  };
}

async function sent({ rows }: TestDatabase): Promise<Message[]> {
  return rows<Message>(
    `select d.destination, e.payload from outbox.deliveries d join outbox.events e on e.id = d.event_id
     where e.type = 'outbox.alert' order by d.seq`,
  );
}

async function resolveAll({ pool }: TestDatabase): Promise<void> {
  await pool.query(
    `update outbox.dead_letters set resolved_at = now(), resolution = 'discard' where resolved_at is null`,
  );
}

test('parked events are said once, grouped, with their causes, count and link, past the routes; again while they last, and when they are gone', async () => {
  const database = await databaseWithAlerts(
    `to: [ops], slack: [chat], link: 'https://outbox.example/{kind}/{destination}'`,
  );
  await park(database, 'billing', 'order.created', 3);
  expect(await lookForAlerts(database.pool)).toMatchObject({
    said: ['raised: 3 dead letters at billing: 3 × invalid sku …'],
    untold: [],
  });
  const [toOps, toChat, ...more] = await sent(database);
  expect(more).toEqual([]);
  expect(toOps).toMatchObject({
    destination: 'ops',
    payload: {
      name: database.name,
      alerts: [
        {
          state: 'raised',
          kind: 'parked',
          subject: 'billing',
          count: 3,
          causes: [{ status: 422, count: 3 }],
          link: 'https://outbox.example/parked/billing',
        },
      ],
    },
  });
  expect(toChat).toMatchObject({ destination: 'chat' });
  expect(Object.keys(toChat?.payload ?? {})).toEqual(['text']);
  expect(toChat?.payload.text).toContain('3 dead letters at billing');
  expect(await database.rows('select from outbox.unrouted')).toEqual([]);

  // Not again at the next look, but after `repeat`, and when it is over for two looks.
  expect(await later(database)).toMatchObject({ said: [] });
  expect(await later(database, '5 hours')).toMatchObject({
    said: [expect.stringMatching(/^still: 3 dead/) as unknown],
  });
  await resolveAll(database);
  expect(await later(database)).toMatchObject({ said: [] });
  expect(await later(database)).toMatchObject({
    said: [expect.stringMatching(/^resolved: 3 dead/) as unknown],
  });
  expect(await later(database)).toMatchObject({ said: [] });
  expect(await sent(database)).toHaveLength(6);
});

test('of many processes that ask at once, one looks', async () => {
  const database = await databaseWithAlerts('to: [ops]');
  await park(database, 'billing', 'order.created');
  const looks = await Promise.all(Array.from({ length: 8 }, () => lookForAlerts(database.pool)));
  expect(looks.flatMap((look) => look?.said ?? [])).toHaveLength(1);
  expect(await sent(database)).toHaveLength(1);
});

test('no alert is about the delivery of alerts, or goes to the destination that it is about', async () => {
  const database = await databaseWithAlerts('to: [ops, chat]');
  await park(database, 'ops', 'outbox.alert', 5);
  expect(await lookForAlerts(database.pool)).toMatchObject({ said: [], untold: [] });
  await database.pool.query(
    `insert into outbox.circuits (destination, state, opened_at, next_probe_at, reason)
     values ('ops', 'open', now() - interval '5 minutes', now(), 'connection refused')`,
  );
  expect(await later(database)).toMatchObject({
    said: ['raised: the circuit of ops is open: connection refused'],
  });
  expect((await sent(database)).map(({ destination }) => destination)).toEqual(['chat']);
});

test('what nobody is left to be told of is answered as untold', async () => {
  const database = await databaseWithAlerts('to: [ops]');
  await park(database, 'ops', 'order.created');
  expect(await lookForAlerts(database.pool)).toMatchObject({
    said: [],
    untold: [expect.stringContaining('1 dead letter at ops') as unknown],
  });
  expect(await sent(database)).toEqual([]);
});

const matters: readonly (readonly [kind: string, sql: string, says: RegExp])[] = [
  [
    'circuit-open',
    `insert into outbox.circuits (destination, state, opened_at, next_probe_at, reason)
     values ('billing', 'open', now() - interval '2 minutes', now() + interval '1 hour', 'connection refused')`,
    /the circuit of billing is open: connection refused/,
  ],
  [
    'circuit-flapping',
    `insert into outbox.circuit_openings select 'billing', now() - n * interval '10 minutes' from generate_series(1, 3) n`,
    /opened 3 times within an hour/,
  ],
  [
    'refused',
    `update outbox.destinations set paused_at = now(), paused_by_refusals = true, paused_reason = 'HTTP 401' where name = 'billing'`,
    /billing refused everything alike and is paused: HTTP 401/,
  ],
  [
    'lag',
    `insert into outbox.events (id, type, payload) values (overlay(outbox.uuid7_floor(now() - interval '10 minutes')::text placing '7' from 15 for 1)::uuid, 'order.created', '{}')`,
    /events for billing have waited since/,
  ],
  [
    'stopped',
    `insert into outbox.replays (id, workflow_id, state, filter, rate, because) values (outbox.uuid7(), 'replay/x', 'stopped', '{}', 1, 'gone')`,
    /replay .* has stopped: gone/,
  ],
  [
    'stopped',
    `with frozen as (
       insert into outbox.redrives (action, filter, steps, max_failures, total, acted, failed, started_at, state, why, ended_at, destinations)
       values ('retry', '{}', '{1}', 0.1, 2, 1, 1, now(), 'stopped', '1 of 1 letters of step 1 failed again', now(), '{billing}'),
              ('retry', '{}', '{1}', 0.1, 2, 1, 0, now(), 'stopped', 'cancelled by ada', now(), '{billing}'),
              ('retry', '{}', '{1}', 0.1, 2, 1, 0, now(), 'stopped', 'nobody waits for what is left of this one', now(), '{billing}') returning id, why
     ), letter as (
       insert into outbox.dead_letters (event_id, event_type, destination, workflow_id, park_no, revision, reason, attempts, tries)
       values (outbox.uuid7(), 'outbox.alert', 'billing', 'deliver/x', 1, 1, 'permanent', 1, 1) returning id, event_id)
     insert into outbox.redrive_members (redrive_id, ordinal, letter_id, event_id, destination, park_no, state)
     select frozen.id, 1, letter.id, letter.event_id, 'billing', 1, 'left' from frozen, letter where why not like 'nobody%'`,
    /redrive 1 has stopped: 1 of 1 letters of step 1 failed again/,
  ],
  [
    'half-messages',
    `insert into outbox.prepared_messages (id, producer, type, payload, state, parked_at, workflow_id)
     select outbox.uuid7(), 'shop', 'order.created', '{}', 'parked', now(), 'preparedMessage/x' from generate_series(1, 2)`,
    /2 half messages of shop wait for a person/,
  ],
  [
    'housekeeping',
    `update outbox.housekeeping set ended_at = now() - interval '25 hours'`,
    /no pass of housekeeping has come to its end since/,
  ],
  [
    'unwritten',
    `insert into outbox.workers (id, label, unwritten, unwritten_since, unwritten_says)
     values (outbox.uuid7(), 'w', 7, now() - interval '2 minutes', 'disk full')`,
    /7 outcomes of deliveries cannot be written: disk full/,
  ],
];

test.each(matters)('%s is looked for, and not where it is switched off', async (kind, sql, says) => {
  const database = await databaseWithAlerts('to: [ops]');
  expect(await lookForAlerts(database.pool)).toMatchObject({ said: [], untold: [] });
  await database.pool.query(sql);
  expect(await later(database)).toMatchObject({ said: [expect.stringMatching(says) as unknown] });

  const silent = await databaseWithAlerts(`to: [ops], off: [${kind}]`);
  await silent.pool.query(sql);
  expect(await lookForAlerts(silent.pool)).toMatchObject({ said: [], untold: [] });
});

test('a redrive that stopped is over once its letters are resolved, and not said anew when one is parked again', async () => {
  const database = await databaseWithAlerts('to: [ops], parked: 100');
  await park(database, 'billing', 'order.created');
  await database.pool.query(
    `with stopped as (
       insert into outbox.redrives (action, filter, steps, max_failures, total, started_at, state, why, ended_at, destinations)
       values ('retry', '{}', '{1}', 0.1, 1, now(), 'stopped', 'billing is paused', now(), '{billing}') returning id)
     insert into outbox.redrive_members (redrive_id, ordinal, letter_id, event_id, destination, park_no, state)
     select stopped.id, 1, l.id, l.event_id, l.destination, 1, 'left' from stopped, outbox.dead_letters l`,
  );
  expect(await lookForAlerts(database.pool)).toMatchObject({
    said: ['raised: redrive 1 has stopped: billing is paused'],
  });
  await resolveAll(database);
  await later(database);
  expect(await later(database)).toMatchObject({
    said: ['resolved: redrive 1 has stopped: billing is paused'],
  });
  await database.pool.query('update outbox.dead_letters set resolved_at = null, resolution = null');
  expect(await later(database)).toMatchObject({ said: [] });
});

test('without alerts in the configuration nothing is looked at', async () => {
  const database = await createTestDatabase();
  await applyTestConfig(database, `destinations: { billing: { type: http, url: '${nowhere}' } }`);
  await park(database, 'billing', 'order.created');
  expect(await lookForAlerts(database.pool)).toBeNull();
  expect(await database.rows('select from outbox.alerts')).toEqual([]);
});
