import { setCurrentDetails } from '@temporalio/workflow';
import type { BatchSummary, HeldDelivery } from '../activities/index.ts';
import type { CommandLine } from './contract.ts';

/**
 * The Markdown a person reads on the workflow's page in the Temporal UI: what failed, how often, what to send. Status and class
 * only: a receiver's answer may hold personal data, which must not enter a history.
 */
export function showOnPage(summary: BatchSummary, lines: readonly CommandLine[], workflowId: string): void {
  setCurrentDetails(
    [heading(summary), table(summary), whatToSend(summary), log(lines), cli(summary, workflowId)]
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

function table({ rows, parked, retrying }: BatchSummary): string {
  if (rows.length === 0) return '';
  const more = parked + retrying - rows.length;
  return [
    '| event | type | destination | state | tries | last answer |',
    '|---|---|---|---|---|---|',
    ...rows.map(tableRow),
    ...(more > 0 ? [`\n… and ${more} more`] : []),
  ].join('\n');
}

function tableRow(row: HeldDelivery): string {
  const state =
    row.state === 'parked' ? `parked: ${row.reason ?? ''}` : `next try ${row.dueAt?.slice(0, 19) ?? ''}`;
  const edited = row.revision > 1 ? ` (revision ${row.revision})` : '';
  const cells = [`\`${row.eventId}\`${edited}`, row.eventType ?? '', row.destination, state];
  return `| ${[...cells, `${row.tries} (${row.attempts} charged)`, row.errorClass ?? '-'].map(cell).join(' | ')} |`;
}

function whatToSend({ parked }: BatchSummary): string {
  if (parked === 0) return '';
  const many = parked > 1 ? ' `retry` takes all; name one with `{"event": "<id>"}`, or `{"all": true}`.' : '';
  return [
    `**More Actions → Send a Signal** and one of:${many}`,
    '- `retry`, input empty: send it again, policy afresh, same idempotency key',
    '- `edit`, input `{"payload": {…}}`: corrected, under a new key',
    '- `redirect`, input `{"to": "<destination>"}`: to another destination instead',
    '- `discard`, input `{"reason": "…"}`: give it up, for the record',
  ].join('\n');
}

function log(lines: readonly CommandLine[]): string {
  if (lines.length === 0) return '';
  const entries = lines.map(
    ({ at, action, actor, outcome, message }) =>
      `- ${at.slice(0, 19)}Z \`${action}\` by ${cell(actor ?? 'somebody')}: **${outcome}**, ${cell(message)}`,
  );
  return ['**Commands so far**', ...entries].join('\n');
}

function cli({ rows }: BatchSummary, workflowId: string): string {
  const id = rows.find((row) => row.deadLetterId !== null)?.deadLetterId;
  return id === undefined
    ? ''
    : `Or from a shell: \`temporal-outbox dlq show ${id}\` (workflow \`${workflowId}\`)`;
}

function count(deliveries: number): string {
  return deliveries === 1 ? '1 delivery' : `${deliveries} deliveries`;
}

/** Names come from rows that anybody may have written: nothing in them may end the cell or start Markdown. */
function cell(text: string): string {
  return text.replace(/[|\r\n<>]/g, ' ').slice(0, 300);
}
