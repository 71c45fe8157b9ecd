/** What strangers wrote, as the Temporal UI draws it: letters, no links, no pictures, no headings. */
import { expect, test } from 'vitest';
import { signals } from '../../workflows/contract.ts';
import { hostile } from '../support/hostile.ts';
import { eventually } from '../support/index.ts';
import { openStage, pageOf } from '../resolve/stage.ts';
import { openBrowser, openDetails } from './browser.ts';

test('a type, an actor and a reason that are Markdown, HTML or addresses are letters on the page', async () => {
  const stage = await openStage({ type: hostile });
  const page = await openBrowser();
  const { workflowId } = await stage.parkOne();
  await stage.client.workflow
    .getHandle(workflowId)
    .signal(signals.redirect, { to: 'nowhere', actor: hostile.slice(0, 150), reason: hostile.slice(0, 150) });
  await eventually(async () => expect(await pageOf(stage.client, workflowId)).toContain('redirect` by evil'));

  const details = await openDetails(page, workflowId);
  expect(details).toContain('[md](');
  expect(details).toContain('<img src=x>');
  expect(details).not.toMatch(/[\u001b\u009b\u202e\u2028]/);
  const made = await Promise.all(
    page
      .frames()
      .map((frame) =>
        frame
          .locator('a[href*="evil"], img[src="x"], img[src*="evil"], :is(h1, h2, h3):has-text("FORGED")')
          .count(),
      ),
  );
  expect(made.every((count) => count === 0)).toBe(true);
});
