import type { MessageState } from '../../core/messageState.ts';
import { OutboxError } from '../../errors.ts';
import { readMessageAudit, readMessageContent, readMessageState } from '../../storage/messages.ts';
import { auditText } from '../auditText.ts';
import { withDatabase } from '../database.ts';
import type { Colours, Output } from '../output.ts';
import { payloadReader, payloadShown } from '../payloadShown.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { facts } from '../table.ts';

const auditLines = 20;

type Details = Awaited<ReturnType<typeof readDetails>>;

/** `messages show` @throws OutboxError OUTBOX_NOT_FOUND */
export async function show(out: Output, id: string): Promise<void> {
  const details = await readDetails(id);
  out.result(details, (colours) => text(details, colours));
}

async function readDetails(id: string) {
  return withDatabase(async (pool) => {
    const state = await readMessageState(pool, id);
    if (state === undefined) {
      throw new OutboxError('OUTBOX_NOT_FOUND', `there is no half message ${id}`, {
        hint: 'It was never prepared, or was settled more than a week ago. temporal-outbox messages list --status all',
      });
    }
    const content = await payloadReader(pool)(state.type, await readMessageContent(pool, id));
    return { ...state, content, audit: await readMessageAudit(pool, id, auditLines) };
  });
}

function text(details: Details, colours: Colours): string {
  const title = `half message ${details.id}: ${printable(details.type)} of ${details.producer}`;
  return [
    `${colours.bold(title)}\n${facts(headLines(details, colours), colours)}`,
    contentText(details, colours),
    commandsText(details, colours),
    isOpen(details) ? colours.dim(`temporal-outbox messages commit ${details.id} | rollback | check\n`) : '',
  ]
    .filter(Boolean)
    .join('\n');
}

function isOpen({ settledAt }: MessageState): boolean {
  return settledAt === null;
}

function headLines(details: Details, colours: Colours): [string, string][] {
  const { state, preparedAt, checks, lastAnswer, nextCheckAt, parkedAt, settledAt, settledBy } = details;
  const optional = (label: string, value: string | null): [string, string][] =>
    value === null ? [] : [[label, printable(value)]];
  const at = (moment: string | null): string | null => (moment === null ? null : `${shortTime(moment)} UTC`);
  return [
    ['state', state === 'parked' ? colours.red('parked, it waits for a person') : state],
    ['prepared', at(preparedAt) ?? ''],
    ['check-backs', `${checks} that told nothing`],
    ...optional('last answer', lastAnswer),
    ...optional('next check', at(nextCheckAt)),
    ...optional('parked', at(parkedAt)),
    ...optional('settled', settledAt === null ? null : `${at(settledAt)} by ${settledBy}`),
    ...optional('event', details.eventId),
    ...optional('workflow', details.workflowId),
  ];
}

function contentText({ content }: Details, colours: Colours): string {
  if (content === null) return '';
  const lines: [string, string][] = [
    ...(content.key === null ? [] : [['key', printable(content.key)] as [string, string]]),
    ['content type', printable(content.contentType)],
    ...Object.entries(content.headers).map(([name, value]): [string, string] => [
      `header ${printable(name)}`,
      printable(value),
    ]),
  ];
  return `${colours.bold('content')}\n${facts(lines, colours)}\n${payloadShown(content, colours)}`;
}

function commandsText({ audit }: Details, colours: Colours): string {
  if (audit.length === 0) return '';
  return `${colours.bold('commands')}\n${audit.map((line) => `  ${auditText(line)}\n`).join('')}`;
}
