/** From a parked workflow's page to everything like it, by its links alone. */
import { beforeAll, expect, test } from 'vitest';
import { openDeadLetters, openStage, settled, type Stage } from '../resolve/stage.ts';
import { follow, linksOf, openBrowser, openDetails, pressStart, takePicture, texts } from './browser.ts';

const runbook = 'https://wiki.test/billing?page=(1)';
let stage: Stage;
beforeAll(async () => {
  stage = await openStage({
    billing: `runbook: '${runbook}'`,
    more: "dashboard: { listen: '127.0.0.1:0', url: 'http://outbox.test/ops' }",
  });
});

/** It goes in steps and waits between them; a busy machine makes them long. */
const patience = { timeout: 120_000 };

test(
  'the links lead to the letter, its cause, the runbook, all that is parked, and to a redrive of everything like it',
  { timeout: 300_000 },
  async () => {
    const page = await openBrowser();
    const ids = await stage.park(3);
    const [letter] = await openDeadLetters(stage.database, ids);
    const workflowId = letter?.workflow_id ?? '';
    const details = await openDetails(page, workflowId, 'Where to go on');
    await takePicture(page, 'parked-links');
    expect(details).toContain('waiting for a person');
    const links = await linksOf(page);
    expect(links.get('Its letter')).toBe(`http://outbox.test/ops/#/letters/${letter?.id}`);
    expect(links.get('all of its cause')).toMatch(
      /^http:\/\/outbox\.test\/ops\/#\/letters\?cause=[0-9a-f]{12}$/,
    );
    expect(links.get('Runbook of billing')).toBe(runbook.replace('(', '%28').replace(')', '%29'));
    const list = new URL(links.get('All that is parked of billing') ?? '', 'http://ui');
    expect(list.searchParams.get('query')).toBe('OutboxState="parked" AND OutboxDestination="billing"');
    // What never changes, beside it.
    expect(await texts(page)).toContain('that failed. It is tried again');

    stage.heal(...ids);
    const redrive = `${stage.database.name}/redrive/like/${letter?.id}`;
    await follow(page, links.get('Redrive everything like it') ?? '');
    await pressStart(page);
    const preview = await openDetails(page, redrive, 'would go');
    expect(preview).toContain('3 dead letters would go');
    expect(await openDeadLetters(stage.database, ids)).toHaveLength(3);
    await follow(page, (await linksOf(page)).get('Start it') ?? '');
    // The page fetches the input after it has opened; pressed sooner, it starts one without, which is another preview.
    await page.getByText('"redrive"').first().waitFor();
    await pressStart(page);
    await settled(stage.database, ids, patience);
  },
);
