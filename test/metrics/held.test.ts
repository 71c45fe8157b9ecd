/** What /metrics, `status --check` and `doctor` say of destinations that are held, and of what holds them. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { command, configOf, openStage, stands, type Stage } from '../circuit/stage.ts';
import { applyTestConfig, eventually, runCli, startRun } from '../support/index.ts';
import { scrape, type Scrape } from './scrape.ts';
import { onlyWithEverything } from '../support/everything.ts';

const billing = { destination: 'billing' };

async function watch({ database }: Stage): Promise<() => Promise<Scrape>> {
  const { endpoints } = await startRun({
    databaseUrl: database.url,
    metricsListen: parseListen('127.0.0.1:0'),
  });
  return () => scrape(endpoints['metrics']);
}

function statesOf(found: Scrape): string[] {
  return found.series
    .filter(({ name, labels }) => name === 'outbox_destination_state' && labels['destination'] === 'billing')
    .map(({ labels, value }) => `${labels['state']} ${value}`);
}

function heldBy(found: Scrape): string[] {
  return ['circuit', 'refusals', 'person'].filter(
    (cause) => (found.value('outbox_destination_held_seconds', { ...billing, cause }) ?? NaN) > 0,
  );
}

async function check({ database }: Stage): Promise<string> {
  return (await runCli(['status', '--check'], { databaseUrl: database.url })).stdout;
}

async function doctorOf({ database }: Stage, name: string): Promise<{ level: string; found: string }> {
  const ended = await runCli(['doctor', '--json'], { databaseUrl: database.url });
  const { checks } = JSON.parse(ended.stdout) as {
    checks: { check: string; level: string; found: string }[];
  };
  const found = checks.find((each) => each.check === name);
  if (found === undefined) throw new Error(`doctor has no check ${name}`);
  return found;
}

test('an outage: the circuit, for how long, probes in vain; closed, all of it is as before', async () => {
  const stage = await openStage({ answer: 503, run: false });
  const scrapeNow = await watch(stage);
  await stage.send(20);
  await stands(stage, 'open');
  const during = await eventually(async () => {
    const found = await scrapeNow();
    expect(statesOf(found)).toEqual(['closed 0', 'half-open 0', 'open 1', 'paused 0']);
    expect(found.value('outbox_destination_failed_probes', billing)).toBeGreaterThanOrEqual(2);
    return found;
  });
  expect(heldBy(during)).toEqual(['circuit']);
  expect(during.value('outbox_destination_state', { destination: 'healthy', state: 'closed' })).toBe(1);
  expect(during.value('outbox_destination_held_seconds', { destination: 'healthy', cause: 'circuit' })).toBe(
    0,
  );
  // Not long enough for anybody to be told.
  expect(await check(stage)).toMatch(/^OK/);
  expect(await doctorOf(stage, 'destinations')).toMatchObject({ level: 'ok' });
  await stage.database.pool.query(`update outbox.circuits set opened_at = now() - interval '20 minutes'`);
  await stage.database.pool.query(`update outbox.events set created_at = now() - interval '1 hour'`);
  expect(await check(stage)).toMatch(
    /^CRITICAL: billing: lag 1 h.* \(limit 5 min\), its circuit is (half-)?open\n$/,
  );
  expect(await doctorOf(stage, 'destinations')).toMatchObject({
    level: 'warn',
    found: expect.stringMatching(/^billing is not answering for 20 min/) as string,
  });

  stage.billing.answer(204);
  await stands(stage, 'closed');
  await eventually(async () => {
    const after = await scrapeNow();
    expect(statesOf(after)).toEqual(['closed 1', 'half-open 0', 'open 0', 'paused 0']);
    expect(heldBy(after)).toEqual([]);
    expect(after.value('outbox_destination_failed_probes', billing)).toBe(0);
  });
});

test('refusals that pause a destination by themselves are told from a person who pauses it', async (context) => {
  onlyWithEverything(context, 'a sibling is shown');
  const stage = await openStage({ answer: 401, run: false });
  const scrapeNow = await watch(stage);
  await stage.send(300);
  await stands(stage, 'paused');
  await eventually(async () => {
    const found = await scrapeNow();
    expect(statesOf(found)).toEqual(['closed 0', 'half-open 0', 'open 0', 'paused 1']);
    expect(heldBy(found)).toEqual(['refusals']);
  });
  expect(await check(stage)).toMatch(
    /^CRITICAL: billing: paused by refusals for \d+ s, until a person resumes it\n$/,
  );
  expect(await doctorOf(stage, 'destinations')).toMatchObject({
    level: 'warn',
    found: expect.stringContaining('billing was paused by refusals') as string,
  });

  stage.billing.answer(204);
  await command(stage, 'resume');
  await stands(stage, 'closed');
  await command(stage, 'pause', { reason: 'maintenance' });
  await eventually(async () => expect(heldBy(await scrapeNow())).toEqual(['person']));
  expect(await check(stage)).toMatch(/^OK/);
  expect(await doctorOf(stage, 'destinations')).toMatchObject({ level: 'ok' });
});

test('a configuration that is applied again leaves a pause, and what caused it, as they are', async () => {
  const stage = await openStage({ answer: 410 });
  await stage.send(3);
  await stands(stage, 'paused');
  await applyTestConfig(
    stage.database,
    configOf(stage.billing.url, stage.healthy.url, { billing: 'concurrency: 3' }),
  );
  const rows = await stage.database.rows(
    `select paused_by_refusals from outbox.destinations where name = 'billing' and paused_at is not null`,
  );
  expect(rows).toEqual([{ paused_by_refusals: true }]);
});
