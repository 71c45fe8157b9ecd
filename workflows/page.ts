import { isoTime } from '../src/core/isoTime.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import { setCurrentDetails } from '@temporalio/workflow';
import type { BatchSummary, HeldDelivery } from '../activities/index.ts';
import type { CommandLine } from './contract.ts';
import { whereToGo, type Place } from './whereToGo.ts';
import { counted } from '../src/core/counted.ts';

/**
 * The Markdown a person reads on the workflow's page in the Temporal UI: what failed, how often, what to send. Status and class
 * only: a receiver's answer may hold personal data, which must not enter a history.
 */
export function showOnPage(
  summary: BatchSummary,
  lines: readonly CommandLine[],
  place: Place & { readonly workflowId: string },
): void {
  setCurrentDetails(
    [
      heading(summary),
      deliveries(summary),
      whatToSend(summary),
      whereToGo(summary, place),
      commandLog(lines),
      cli(summary, place.workflowId),
    ]
      .filter(Boolean)
      .join('\n\n'),
  );
}

function heading({ parked, retrying, unsent }: BatchSummary): string {
  const parts = [
    parked > 0 ? `**${count(parked)} parked**, waiting for a person` : '',
    retrying > 0 ? `${count(retrying)} retrying` : '',
    unsent > 0 ? `${count(unsent)} still to be sent` : '',
  ];
  return `### ${parts.filter(Boolean).join('; ')}`;
}

/** One delivery in lines, several in a table: the page's column is narrow, and a wide table is cut off at its edge. */
function deliveries({ rows, parked, retrying }: BatchSummary): string {
  const [first, second] = rows;
  if (first === undefined) return '';
  if (second === undefined) return inLines(first);
  const more = parked + retrying - rows.length;
  return [
    `| event | state${gap} | tries${gap} | last answer |`,
    '|---|---|---|---|',
    ...rows.map(tableRow),
    ...(more > 0 ? [`\n… and ${more} more`] : []),
  ].join('\n');
}

function inLines(row: HeldDelivery): string {
  return [
    `- **${plain(row.eventType ?? 'of unknown type')} → ${plain(row.destination)}**`,
    `- event \`${row.eventId}\`${edited(row)}`,
    `- last answer: **${plain(lastAnswer(row))}**`,
    `- tried ${times(row.tries)}, ${row.attempts} charged to its retry policy`,
    `- ${state(row)}`,
  ].join('\n');
}

function tableRow(row: HeldDelivery): string {
  const event = `\`${row.eventId}\`${edited(row)} ${plain(row.eventType ?? '')} → ${plain(row.destination)}${gap}`;
  return `| ${event} | ${state(row)}${gap} | ${row.tries} (${row.attempts} charged)${gap} | ${plain(lastAnswer(row))} |`;
}

/** The UI's tables have no space between their columns. */
const gap = '\u00a0\u00a0';

const parkedBecause: Readonly<Record<string, string>> = {
  permanent: 'refused for good, by an answer that no retry can change',
  'attempts-exhausted': 'its attempts are used up',
  'schedule-to-close': 'out of time: scheduleToCloseTimeout',
  terminated: 'its workflow was terminated',
  canceled: 'its workflow was cancelled',
  failed: 'its workflow failed',
  poison: 'workers died while attempting it',
  unwritten: 'it was answered, and PostgreSQL did not take that',
  paused: 'parked by a person while its destination was paused',
};

function state({ state, reason, parkedAt, dueAt }: HeldDelivery): string {
  if (state !== 'parked') return `next try ${utc(dueAt)}`;
  return `parked ${utc(parkedAt)}: ${plain(parkedBecause[reason ?? ''] ?? reason ?? '')}`;
}

function lastAnswer({ status, errorClass }: HeldDelivery): string {
  if (status !== null) return `HTTP ${status}`;
  return errorClass ?? 'none yet';
}

function edited({ revision }: HeldDelivery): string {
  return revision > 1 ? ` (revision ${revision})` : '';
}

function times(tries: number): string {
  return tries === 1 ? 'once' : `${tries} times`;
}

/** PostgreSQL's JSON has them in its own time zone. */
export function utc(at: string | null): string {
  return at === null ? '' : `${isoTime(Date.parse(at)).slice(0, 19).replace('T', ' ')} UTC`;
}

function whatToSend({ parked }: BatchSummary): string {
  if (parked === 0) return '';
  const many = parked > 1 ? ' `retry` takes all; name one with `{"event": "<id>"}`, or `{"all": true}`.' : '';
  return [
    `**More Actions → Send a Signal** and one of:${many}`,
    '',
    '- `retry`, input empty: send it again, policy afresh, same idempotency key',
    '- `edit`, input `{"payload": {…}}`: corrected, under a new key',
    '- `redirect`, input `{"to": "<destination>"}`: to another destination instead',
    '- `discard`, input `{"reason": "…"}`: give it up, for the record',
  ].join('\n');
}

export function commandLog(lines: readonly CommandLine<string>[]): string {
  if (lines.length === 0) return '';
  const entries = lines.map(
    ({ at, action, actor, outcome, message }) =>
      `- ${utc(at)} \`${action}\` by ${plain(actor ?? 'somebody')}: **${outcome}**, ${plain(message)}`,
  );
  return ['**Commands so far**', '', ...entries].join('\n');
}

function cli({ rows }: BatchSummary, workflowId: string): string {
  const id = rows.find((row) => row.deadLetterId !== null)?.deadLetterId;
  return id === undefined
    ? ''
    : `Or from a shell: \`temporal-outbox dlq show ${id}\` (workflow \`${workflowId}\`)`;
}

function count(deliveries: number): string {
  return counted(deliveries, 'delivery');
}
