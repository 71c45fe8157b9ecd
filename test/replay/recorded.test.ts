/** Workflows wait for people for months: what an earlier version began, this one must go on with. */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { expect, test } from 'vitest';
import '../support/running.ts'; // its quiet logger
import { historiesDirectory, parseRecorded, workflowBundle } from './history.ts';

async function recorded(file: string): Promise<ReturnType<typeof parseRecorded>> {
  return parseRecorded(await readFile(new URL(file, historiesDirectory), 'utf8'));
}

const files = readdirSync(historiesDirectory).filter((name) => name.endsWith('.json'));

test('there are histories of every way a delivery can go', () => {
  expect(files.map((file) => file.replace('.json', '')).sort()).toEqual([
    'again-in-place',
    'continued-after',
    'continued-as-new',
    'crowd-in-rounds',
    'destination-outage',
    'destination-parked',
    'housekeeping-pass',
    'many',
    'message-asked-back',
    'message-parked-commit',
    'message-parked-settled-outside',
    'message-still-waiting',
    'parked-discard',
    'parked-edit-by-update',
    'parked-redirect',
    'parked-retry',
    'refused-junk',
    'split',
    'split-off',
    'still-waiting',
  ]);
});

test.for(files)('%s replays with the workflows as they are now', async (file) => {
  const { workflowId, history } = await recorded(file);
  await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
});

test('a workflow that would do something else is noticed', async () => {
  const workflowsPath = fileURLToPath(new URL('./otherWorkflow.ts', import.meta.url));
  const logger = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };
  const other = await bundleWorkflowCode({ workflowsPath, logger });
  const { workflowId, history } = await recorded('parked-retry.json');
  await expect(Worker.runReplayHistory({ workflowBundle: other }, history, workflowId)).rejects.toThrow(
    DeterminismViolationError,
  );
});

test('no history tells of the machine that it was recorded on', async () => {
  for (const file of files) {
    const text = await readFile(new URL(file, historiesDirectory), 'utf8');
    expect(text).not.toMatch(/\d+@|file:\/\/|\/home\/|\/root|\/tmp\//);
  }
});

function quiet(): void {
  // The bundler tells of its progress.
}
