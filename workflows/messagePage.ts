import { setCurrentDetails } from '@temporalio/workflow';
import type { MessageSummary, OpenMessage } from '../activities/index.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import type { CommandLine } from './contract.ts';
import { commandLog, utc } from './page.ts';
import { counted } from '../src/core/counted.ts';

/** The Markdown a person reads on the page of a `preparedMessage` workflow. Ids and types only: contents stay in PostgreSQL. */
export function showMessages(summary: MessageSummary, lines: readonly CommandLine<string>[]): void {
  setCurrentDetails(
    [heading(summary), messages(summary), whatToSend(summary), commandLog(lines), cli(summary)]
      .filter(Boolean)
      .join('\n\n'),
  );
}

function heading({ left, parked }: MessageSummary): string {
  const waiting = left - parked;
  const parts = [
    parked > 0 ? `**${count(parked)} parked**: its producer did not tell, a person decides` : '',
    waiting > 0 ? `${count(waiting)}: the producer is asked back` : '',
  ];
  return `### ${parts.filter(Boolean).join('; ')}`;
}

function messages({ rows, left }: MessageSummary): string {
  const more = left - rows.length;
  return [...rows.map(line), ...(more > 0 ? [`- … and ${more} more`] : [])].join('\n');
}

function line({ id, type, producer, state, checks, preparedAt, parkedAt, nextCheckAt }: OpenMessage): string {
  const next = state === 'parked' ? `parked ${utc(parkedAt)}` : `asked again ${utc(nextCheckAt)}`;
  const asked = checks === 1 ? 'once' : `${checks} times`;
  return `- **${plain(type)}** of ${plain(producer)}, \`${id}\`, prepared ${utc(preparedAt)}; asked back ${asked} without an answer; ${next}`;
}

function whatToSend({ left }: MessageSummary): string {
  const many = left > 1 ? ' Name one with `{"event": "<id>"}`, or `{"all": true}`.' : '';
  return [
    `**More Actions → Send a Signal** and one of:${many}`,
    '',
    '- `commit`, input empty: the producer’s transaction was committed, deliver the event',
    '- `rollback`, input empty or `{"reason": "…"}`: it was not, give the message up',
    '- `check`, input empty: ask the producer again',
  ].join('\n');
}

function cli({ rows }: MessageSummary): string {
  const [first] = rows;
  return first === undefined ? '' : `Or from a shell: \`temporal-outbox messages show ${first.id}\``;
}

function count(messages: number): string {
  return counted(messages, 'half message');
}
