/** A redrive from the Temporal UI alone, in a real browser: a filter is typed, its preview's link starts it, signals pause, resume and cancel it. */
import type { Client } from '@temporalio/client';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { createRedrives } from '../../src/redrive/index.ts';
import { onlyWithEverything } from '../support/everything.ts';
import { eventually, uniqueName } from '../support/index.ts';
import { auditOf, openDeadLetters, openStage, pageOf } from '../resolve/stage.ts';
import {
  follow,
  linksOf,
  openBrowser,
  openDetails,
  pressStart,
  sendSignal,
  startByHand,
  takePicture,
} from './browser.ts';

const patience = { timeout: 60_000 };

/** The page as somebody finds it who opens it once it says so: it does not read itself again. */
async function shown(page: Page, client: Client, workflowId: string, words: string): Promise<string> {
  await eventually(async () => expect(await pageOf(client, workflowId)).toContain(words), patience);
  return openDetails(page, workflowId, words.replaceAll('*', ''));
}

test(
  'a person previews one, starts it by its link, pauses, resumes and cancels it',
  { timeout: 300_000 },
  async (context) => {
    onlyWithEverything(context, 'a browser for what is shown without one');
    const stage = await openStage();
    const { database, client } = stage;
    // Slow enough for somebody who opens a page and a dialog for each of it.
    const ids = await stage.park(200);
    stage.heal(...ids);
    const page = await openBrowser();
    const workflowId = uniqueName('by-hand');
    await startByHand(page, {
      workflowId,
      taskQueue: database.taskQueue,
      workflowType: 'redrive',
      input: '{"destination": "billing", "status": 422, "steps": [1], "rate": 1}',
    });
    const preview = await shown(page, client, workflowId, 'would go');
    expect(preview).toContain('200 dead letters would go. Nothing was sent');
    await takePicture(page, 'redrive-preview');
    expect(await openDeadLetters(database, ids)).toHaveLength(200);

    await follow(page, (await linksOf(page)).get('Start it') ?? '');
    // The page fetches the input after it has opened.
    await page.getByText('"redrive"').first().waitFor();
    await pressStart(page);
    const redrives = createRedrives({ db: database.pool, name: database.name });
    const standing = async () => {
      const [one] = await redrives.list(1);
      return one;
    };
    await eventually(async () => expect((await standing())?.acted).toBeGreaterThan(0), patience);

    await shown(page, client, workflowId, 'lets letters go');
    await sendSignal(page, 'pause', '{"reason": "lunch"}');
    await shown(page, client, workflowId, 'is **paused**');
    await takePicture(page, 'redrive-paused');
    const paused = await standing();
    expect(paused).toMatchObject({ state: 'paused', total: 200 });

    await sendSignal(page, 'resume');
    await eventually(
      async () => expect((await standing())?.acted).toBeGreaterThan(paused?.acted ?? 200),
      patience,
    );
    await shown(page, client, workflowId, 'lets letters go');
    await sendSignal(page, 'cancel', '{"reason": "enough"}');
    // Its result says "stopped" too, beside the page.
    const stopped = await shown(page, client, workflowId, 'left parked');
    expect(stopped).toMatch(/stopped: cancelled by .*enough/);
    const { id, acted = 0 } = (await standing()) ?? {};
    expect(stopped).toContain(`${200 - acted} left parked`);
    expect((await openDeadLetters(database, ids)).length).toBe(200 - acted);
    expect(
      (await auditOf(database, `${database.name}/redrive/${id}`)).map(({ action, outcome, via }) => [
        action,
        outcome,
        via,
      ]),
    ).toEqual([
      ['start', 'done', 'workflow'],
      ['pause', 'done', 'signal'],
      ['resume', 'done', 'signal'],
      ['cancel', 'done', 'signal'],
    ]);
  },
);
