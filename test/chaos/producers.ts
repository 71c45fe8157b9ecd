/** Write events as services do: a row of their own and events in one transaction, some of it rolled back. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { enqueue } from '../../src/produce/enqueue.ts';
import type { History, IntendedEvent } from './history.ts';
import type { Random } from './random.ts';

export interface Producer {
  readonly name: string;
  /** Events written so far, whatever came of them. */
  written(): number;
  stop(): Promise<void>;
}

interface Settings {
  readonly name: string;
  readonly url: string;
  readonly eventsPerSecond: number;
  readonly history: History;
  readonly random: Random;
}

const keysEach = 20;
const answerMs = 10_000;

/** What the next transactions are, with numbers that rise for each key; keys belong to one producer. */
function planner({ name, random }: Settings) {
  let transactions = 0;
  let number = 0;
  return () => {
    const tx = `${name}-${transactions++}`;
    const events = Array.from({ length: random.between(1, 5) }, (): IntendedEvent => ({
      id: uuid7(),
      type: random.next() < 0.01 ? 'odd.created' : 'order.created',
      key: `${name}-${random.between(1, keysEach)}`,
      number: number++,
    }));
    return { tx, events, rollBack: random.next() < 0.1 };
  };
}

type Plan = ReturnType<ReturnType<typeof planner>>;

/** Paces itself by what was written, so that an outage is not followed by a flood. */
function start(
  settings: Settings,
  write: (plan: Plan) => Promise<void>,
  close: () => Promise<void>,
): Producer {
  const next = planner(settings);
  let written = 0;
  let stopping = false;
  const working = (async () => {
    while (!stopping) {
      const plan = next();
      const startedAt = performance.now();
      settings.history.note({ what: 'intent', tx: plan.tx, events: plan.events });
      await write(plan);
      written += plan.events.length;
      const tookMs = performance.now() - startedAt;
      await sleep(Math.max((plan.events.length / settings.eventsPerSecond) * 1_000 - tookMs, 0));
    }
    await close();
  })();
  return {
    name: settings.name,
    written: () => written,
    stop: async () => {
      stopping = true;
      await working;
    },
  };
}

/** In TypeScript, by `enqueue` or by plain inserts. */
export function startNodeProducer(settings: Settings): Producer {
  const { history, url } = settings;
  let client: pg.Client | undefined;
  const write = async ({ tx, events, rollBack }: Plan): Promise<void> => {
    let committing = false;
    try {
      client ??= await open(url);
      await client.query('begin');
      await client.query('insert into chaos.facts values ($1)', [tx]);
      const rows = events.map(({ id, type, key, number }) => ({ id, type, key, payload: { number } }));
      await enqueue(client, rows);
      committing = !rollBack;
      await client.query(rollBack ? 'rollback' : 'commit');
      history.note({ what: 'outcome', tx, outcome: rollBack ? 'rolled-back' : 'committed' });
    } catch {
      // Without a COMMIT nothing can be there; with one nobody knows.
      history.note({ what: 'outcome', tx, outcome: committing ? 'unknown' : 'rolled-back' });
      await client?.end().catch(() => undefined);
      client = undefined;
      await sleep(200);
    }
  };
  return start(settings, write, async () => client?.end().catch(() => undefined));
}

async function open(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** With psql: nothing of ours, plain SQL. */
export function startPsqlProducer(psql: string, settings: Settings): Producer {
  const { history, url } = settings;
  let session: ReturnType<typeof openPsql> | undefined;
  const write = async ({ tx, events, rollBack }: Plan): Promise<void> => {
    session ??= openPsql(psql, url);
    const rows = events.map(
      ({ id, type, key, number }) => `('${id}', '${type}', '${key}', '{"number": ${number}}')`,
    );
    const sql = [
      'begin;',
      `insert into chaos.facts values ('${tx}');`,
      `insert into outbox.events (id, type, key, payload) values ${rows.join(', ')};`,
      rollBack ? 'rollback;' : 'commit;',
    ].join(' ');
    const answered = await session.run(sql, tx);
    history.note({
      what: 'outcome',
      tx,
      outcome: rollBack ? 'rolled-back' : answered ? 'committed' : 'unknown',
    });
    if (answered) return;
    session.end();
    session = undefined;
    await sleep(200);
  };
  return start(settings, write, async () => session?.end());
}

function openPsql(psql: string, url: string) {
  const child = spawn(psql, ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', url], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, PGCONNECT_TIMEOUT: '10' },
  });
  child.stdin.on('error', () => undefined);
  const waiting = new Map<string, (answered: boolean) => void>();
  const answer = (tx: string, answered: boolean): void => {
    waiting.get(tx)?.(answered);
    waiting.delete(tx);
  };
  createInterface({ input: child.stdout }).on('line', (line) => answer(line.trim(), true));
  child.on('error', () => undefined);
  child.once('close', () => {
    for (const tx of waiting.keys()) answer(tx, false);
  });
  return {
    /** Answers whether psql came past the statements. */
    run: (sql: string, tx: string): Promise<boolean> =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve(false);
        const timer = setTimeout(() => answer(tx, false), answerMs);
        waiting.set(tx, (answered) => {
          clearTimeout(timer);
          resolve(answered);
        });
        child.stdin.write(`${sql}\n\\echo ${tx}\n`);
      }),
    end: () => void child.kill('SIGKILL'),
  };
}

/** A psql on PATH, or where Debian keeps it; undefined where there is none. */
export function findPsql(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = [...folders.map((folder) => join(folder, 'psql')), ...debianPsql()];
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function debianPsql(): string[] {
  return [18, 17, 16, 15, 14].map((version) => `/usr/lib/postgresql/${version}/bin/psql`);
}

/** RFC 9562. */
export function uuid7(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}
