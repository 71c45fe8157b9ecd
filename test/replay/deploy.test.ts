/** A new version is deployed while people still have something to decide: its workflow code differs, with a patch. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { bundleWorkflows } from '../../src/build/bundleWorkflows.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  servers,
  spawnRun,
  startReceiver,
  temporalClient,
} from '../support/index.ts';
import { writeEvents } from '../crash/drain.ts';
import { pageOf } from '../resolve/stage.ts';
import { onlyWithEverything } from '../support/everything.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const parked = 100;

/** The built package once more, its workflows changed: a step more before a workflow waits, and another text on its page. */
async function changedPackage(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-deploy-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  await cp(join(root, 'dist'), join(directory, 'dist'), { recursive: true });
  await cp(join(root, 'package.json'), join(directory, 'package.json'));
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  await replace(join(directory, 'dist/workflows/deliver.js'), [
    [
      'async function rest(page, summary) {',
      `async function rest(page, summary) {\n  if (onceMore('a-step-more')) await sleep(1);`,
    ],
    [/^/, `import { patched as onceMore, sleep } from '@temporalio/workflow';\n`],
  ]);
  await replace(join(directory, 'dist/workflows/page.js'), [
    ['waiting for a person', 'waiting for somebody'],
  ]);
  const bundle = await bundleWorkflows(directory, join(directory, 'dist/workflows/index.js'));
  await writeFile(join(directory, 'dist/workflow-bundle.js'), bundle);
  return join(directory, 'dist/src/cli/main.js');
}

async function replace(
  file: string,
  changes: readonly (readonly [string | RegExp, string])[],
): Promise<void> {
  let text = await readFile(file, 'utf8');
  for (const [from, to] of changes) {
    const next = text.replace(from, to);
    if (next === text) throw new Error(`${file} does not hold ${String(from)}`);
    text = next;
  }
  await writeFile(file, text);
}

function deploy(cli: string, databaseUrl: string): void {
  const { temporalAddress, temporalNamespace } = servers();
  const child = spawn(process.execPath, [cli, 'run'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      OUTBOX_DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: temporalAddress,
      TEMPORAL_NAMESPACE: temporalNamespace,
    },
  });
  atEnd(() => void child.kill('SIGKILL'));
}

test('a hundred parked workflows outlive a deployment with changed workflow code: each replays, and each is resolved', async (context) => {
  onlyWithEverything(context, 'it builds another version');
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}', batch: { maximum: 1, inFlight: 16, splitUpTo: 0 } } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const before = spawnRun({ databaseUrl: database.url });
  const ids = await writeEvents(database.pool, parked);
  const client = await temporalClient();
  const letters = await eventually(
    async () => {
      const found = await database.rows<{ workflow_id: string }>(
        'select workflow_id from outbox.dead_letters',
      );
      expect(found).toHaveLength(parked);
      return found;
    },
    { timeout: 90_000, interval: 250 },
  );
  const [first = { workflow_id: '' }] = letters;
  await eventually(async () =>
    expect(await pageOf(client, first.workflow_id)).toContain('waiting for a person'),
  );
  const cli = await changedPackage();
  await before.kill('SIGTERM');

  deploy(cli, database.url);
  receiver.answer(({ id }) => (ids.includes(id) ? 204 : 422));
  for (const { workflow_id: id } of letters) await client.workflow.getHandle(id).signal('retry');
  await eventually(async () => expect(await database.rows('select 1 from outbox.deliveries')).toEqual([]), {
    timeout: 120_000,
    interval: 250,
  });
  for (const id of ids) expect(receiver.of(id).map(({ key }) => key)).toEqual(Array(2).fill(`billing/${id}`));
  for (const { workflow_id: id } of letters) {
    await eventually(async () => {
      expect((await client.workflow.getHandle(id).describe()).status.name).toBe('COMPLETED');
    });
    const { events = [] } = await client.workflow.getHandle(id).fetchHistory();
    // A history that does not replay shows as a failed workflow task, again and again.
    expect(events?.filter((event) => event.workflowTaskFailedEventAttributes != null)).toEqual([]);
  }
  // The new code is what runs: on what is parked from now on its step and its text show.
  const [later = ''] = await writeEvents(database.pool, 1);
  const fresh = await eventually(async () => {
    const [letter] = await database.rows<{ workflow_id: string }>(
      'select workflow_id from outbox.dead_letters where event_id = $1',
      [later],
    );
    expect(letter).toBeDefined();
    return letter?.workflow_id ?? '';
  });
  await eventually(async () => expect(await pageOf(client, fresh)).toContain('waiting for somebody'));
  const { events } = await client.workflow.getHandle(fresh).fetchHistory();
  expect(events?.some((event) => event.timerStartedEventAttributes != null)).toBe(true);
}, 300_000);
