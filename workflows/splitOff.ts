import type { SplitOff } from '../activities/index.ts';
import { markdownText } from '../src/core/markdown.ts';
import { attributesFor } from './attributes.ts';
import { attributesNow } from './attributesNow.ts';
import type { DeliverInput } from './contract.ts';
import { ensureChild } from './ensureChild.ts';

/** Failing deliveries that were split off get a workflow each, which outlives this one. */
export async function startSplitOff(
  singles: readonly SplitOff[],
  { timeoutMs, searchAttributes: atStart }: Pick<DeliverInput, 'timeoutMs' | 'searchAttributes'>,
): Promise<void> {
  if (singles.length === 0) return;
  const searchAttributes = await attributesNow(atStart);
  await Promise.all(
    singles.map((single) =>
      ensureChild<DeliverInput>('deliver', {
        workflowId: single.workflowId,
        args: [{ lane: single.lane, firstAttempt: 'activity', timeoutMs, searchAttributes }],
        staticSummary: summaryOf(single),
        ...(searchAttributes ? { typedSearchAttributes: attributesFor(single) } : {}),
      }),
    ),
  );
}

/** The server takes 400 bytes, and an escape has six for one: with more, the workflow could not be started. */
function summaryOf({ eventType, lane }: SplitOff): string {
  return eventType === null ? lane : `${markdownText(eventType, summaryCharacters)} → ${lane}`;
}

const summaryCharacters = 48;
