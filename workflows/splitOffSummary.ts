import type { SplitOff } from '../activities/index.ts';
import { markdownText } from '../src/core/markdown.ts';

/** The server takes 400 bytes, and an escape has six for one: with more, the workflow could not be started. */
export function summaryOf({ eventType, lane }: Pick<SplitOff, 'eventType' | 'lane'>): string {
  return eventType === null ? lane : `${markdownText(eventType, summaryCharacters)} → ${lane}`;
}

const summaryCharacters = 48;
