/** 100,000 dead letters: what the dashboard's server takes for its first views, and when a person sees something of use. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import pg from 'pg';
import { chromium } from 'playwright-core';
import { migrate } from '../../dist/src/storage/migrate.js';
import { applyConfig } from '../../dist/src/storage/configuration.js';
import { parseConfig } from '../../dist/src/config/load.js';
import { median, quantile } from './figures.mjs';

const rounds = 20;
const starts = 7;
const destinations = ['billing', 'stock', 'audit', 'mail', 'search'];
const causesEach = 20;

/** Letters are written as rows: how they came to be parked is measured elsewhere. */
export async function measureDashboard(stage, { letters, say }) {
  const databaseUrl = await stage.newDatabase();
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  await migrate(pool);
  const listed = destinations.map((name) => `${name}: { type: http, url: 'http://127.0.0.1:9/' }`);
  const { config } = parseConfig(
    `destinations: { ${listed.join(', ')} }\ndashboard: { listen: '127.0.0.1:0' }\nroutes: []`,
  );
  await applyConfig(pool, config, '', 'bench');
  say(`dashboard: ${letters} dead letters are written`);
  await fill(pool, letters);
  // No route took them, as none is there: that is not what is looked at.
  await pool.query('delete from outbox.unrouted');
  await pool.query('vacuum analyze');
  const rows = [await firstAsked(databaseUrl, stage.temporalAddress)];
  const served = await serve(databaseUrl, stage.temporalAddress);
  try {
    for (const path of ['/overview', '/causes', '/letters', '/letters?destination=billing', '/redrives'])
      rows.push(await asked(served.url, path));
    if (existsSync('/usr/bin/chromium')) rows.push(...(await painted(served.url)));
    else say('dashboard: no chromium here, so nobody looks at the page');
    return rows;
  } finally {
    served.child.kill('SIGTERM');
    await pool.end();
  }
}

async function fill(pool, letters) {
  for (let done = 0; done < letters; done += 10_000)
    await pool.query(
      `with given as (
         select outbox.uuid7() as id, n, ($3::text[])[n % $4 + 1] as destination, gen_random_uuid() as batch, n % $5 as cause
         from generate_series($1::integer, $2::integer) n
       ), events as (
         insert into outbox.events (id, type, key, payload)
         select id, 'order.created', 'o-' || n, jsonb_build_object('id', n, 'customer', 'Ada Lovelace', 'note', repeat('x', 180)) from given
       ), batches as (
         insert into outbox.batches (id, lane, workflow_id, size, open, epoch, active, single)
         select batch, destination, 'deliver/' || batch, 1, 0, 0, false, true from given
       ), deliveries as (
         insert into outbox.deliveries (event_id, destination, seq, state, batch_id, tries, attempts)
         select id, destination, nextval('outbox.delivery_seq'), 'parked', batch, 1, 1 from given
       ), causes as (
         insert into outbox.causes (id, destination, class, status, error)
         select distinct on (destination, cause) outbox.cause_id(destination, 'http-422', 422, 'reason ' || cause), destination, 'http-422', 422, 'reason ' || cause
         from given on conflict do nothing
       )
       insert into outbox.dead_letters (event_id, destination, event_type, reason, park_no, revision, parked_at, tries, attempts, last_status, last_error_class, last_error, workflow_id, cause)
       select id, destination, 'order.created', 'permanent', 1, 1, now() - n * interval '800 ms', 1, 1, 422, 'http-422',
              'POST http://127.0.0.1:9/ answered 422 Unprocessable Entity', 'deliver/' || batch,
              outbox.cause_id(destination, 'http-422', 422, 'reason ' || cause)
       from given`,
      [done + 1, Math.min(done + 10_000, letters), destinations, destinations.length, causesEach],
    );
}

async function serve(databaseUrl, temporalAddress) {
  const main = new URL('../../dist/src/cli/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, 'dashboard'], {
    env: { ...process.env, OUTBOX_DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporalAddress },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (url !== undefined) return { url, child };
  }
  throw new Error('the dashboard ended before it listened');
}

/** Of a process that has just said that it listens, and has no connection yet. */
async function firstAsked(databaseUrl, temporalAddress) {
  const times = [];
  for (let start = 0; start < starts; start++) {
    const { url, child } = await serve(databaseUrl, temporalAddress);
    const began = performance.now();
    await (await fetch(`${url}/v1/overview`)).arrayBuffer();
    times.push(performance.now() - began);
    child.kill('SIGTERM');
  }
  return {
    what: `GET /overview, the first after each of ${starts} starts`,
    'first, ms': ms(times[0]),
    'p50, ms': ms(median(times)),
    'slowest, ms': ms(Math.max(...times)),
    load: loadavg()[0].toFixed(1),
  };
}

/** Milliseconds, as a client on the same machine sees them; the overview is read anew each second at most, so it is waited for. */
async function asked(url, path) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const response = await fetch(`${url}/v1${path}`);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    times.push(performance.now() - began);
    if (path === '/overview') await sleep(1_500);
  }
  const [first] = times;
  return {
    what: `GET ${path}`,
    'first, ms': ms(first),
    'p50, ms': ms(median(times)),
    'p95, ms': ms(quantile(times, 0.95)),
    load: loadavg()[0].toFixed(1),
  };
}

/** From the navigation to the view's own heading with its data, in a fresh browser each time. */
async function painted(url) {
  const rows = [];
  for (const [path, place] of [
    ['/', '.flow'],
    ['/causes', 'article.cause'],
    ['/letters', 'tbody tr'],
  ]) {
    const [first, useful] = [[], []];
    for (let round = 0; round < 5; round++) {
      const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu'],
      });
      const page = await browser.newPage();
      await page.goto('about:blank');
      const began = performance.now();
      await page.goto(`${url}/#${path}`, { waitUntil: 'commit' });
      await page.locator(place).first().waitFor();
      useful.push(performance.now() - began);
      first.push(
        await page.evaluate(
          () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
        ),
      );
      await browser.close();
    }
    rows.push({
      what: `page #${path}`,
      'first paint, p50, ms': ms(median(first)),
      'useful, p50, ms': ms(median(useful)),
      'useful, most, ms': ms(Math.max(...useful)),
      load: loadavg()[0].toFixed(1),
    });
  }
  return rows;
}

function ms(value) {
  return Math.round(value);
}
