/** Ours running over a database that is about to misbehave, and somebody who writes events all the while. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect } from 'vitest';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  type Receiver,
  type TestDatabase,
  type TestRun,
} from '../support/index.ts';

export interface FieldStage {
  readonly database: TestDatabase;
  readonly receiver: Receiver;
  readonly running: TestRun;
  /** A login of the relay's role alone, as `run` uses. */
  readonly role: string;
  /** With that login. */
  readonly url: string;
  /** `GET /readyz` of the process. */
  readonly readiness: () => Promise<{ readonly ok: boolean; readonly text: string }>;
}

/**
 * `run` under a login that holds `outbox_relay` and nothing else. `settings`: defaults of that role; `billing`: keys of the destination;
 * `through`: what stands between.
 */
export async function openField(
  settings: readonly string[] = [],
  billing = '',
  through: (url: string) => Promise<string> = (url) => Promise.resolve(url),
): Promise<FieldStage> {
  const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver({ answer: 204 })]);
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}'${billing === '' ? '' : `, ${billing}`} } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const role = `relay_${database.name.replaceAll('-', '_')}`;
  await database.rows(`create role ${role} login password 'relay' in role outbox_relay`);
  atEnd(() => dropRole(database.url, role));
  for (const setting of settings) await database.rows(`alter role ${role} set ${setting}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'relay';
  const running = await startRun({
    databaseUrl: await through(url.href),
    metricsListen: { host: '127.0.0.1', port: 0 },
  });
  const readiness = async () => {
    const answer = await fetch(`${running.endpoints['metrics']}/readyz`);
    return { ok: answer.ok, text: await answer.text() };
  };
  return { database, receiver, running, role, url: url.href, readiness };
}

/** Roles are the cluster's; by then its database is gone, and with it what it owned. */
async function dropRole(url: string, role: string): Promise<void> {
  const server = new URL(url);
  server.pathname = '/postgres';
  const client = new pg.Client(server.href);
  await client.connect();
  await client.query(`drop role if exists ${role}`).finally(() => client.end());
}

/** Writes events at a steady pace for so long; answers their ids. */
export async function produce(database: TestDatabase, perSecond: number, forMs: number): Promise<string[]> {
  const ids: string[] = [];
  const began = performance.now();
  for (let at = 0; performance.now() - began < forMs; at++) {
    const [row] = await database.rows<{ id: string }>(
      `insert into outbox.events (type, payload) values ('order.created', '{}') returning id`,
    );
    if (row !== undefined) ids.push(row.id);
    await sleep(Math.max(0, ((at + 1) * 1_000) / perSecond - (performance.now() - began)));
  }
  return ids;
}

/** All delivered, none parked, each sent once. */
export async function expectOnceEach(
  { database, receiver }: FieldStage,
  ids: readonly string[],
  timeout = 60_000,
): Promise<void> {
  const count = async () =>
    (await database.rows<{ n: number }>('select count(*)::int as n from outbox.delivered'))[0]?.n;
  await eventually(async () => expect(await count()).toBe(ids.length), { timeout });
  const parked = await database.rows('select reason, last_error from outbox.dead_letters');
  expect(parked).toEqual([]);
  const times = ids.map((id) => receiver.of(id).length);
  expect(times.filter((n) => n !== 1)).toEqual([]);
}

/** A connection of somebody else's, which stays with the test. */
export async function stranger(database: TestDatabase): Promise<pg.Client> {
  const client = new pg.Client(database.url);
  client.on('error', () => undefined);
  await client.connect();
  atEnd(() => client.end().catch(() => undefined));
  return client;
}
