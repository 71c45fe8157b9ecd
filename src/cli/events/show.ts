import { OutboxError } from '../../errors.ts';
import type { Pool } from '../../storage/connect.ts';
import { listDeadLetters, readAttempts, type DeadLetter } from '../../storage/deadLetters.ts';
import { readDeliveries, readEvent, readEventAudit, readRevisions } from '../../storage/eventStory.ts';
import { isUnrouted } from '../../storage/status.ts';
import { auditText } from '../auditText.ts';
import { attemptTable } from '../attemptTable.ts';
import { withDatabase } from '../database.ts';
import type { Colours, Output } from '../output.ts';
import { payloadInShort, payloadReader, payloadShown } from '../payloadShown.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { cut, facts, table } from '../table.ts';
import { shownState } from './states.ts';

type Story = Awaited<ReturnType<typeof readStory>>;

const linesShown = 50;

/** `events show`: the event, where it went, every attempt, park episode, edit and command. */
export async function show(out: Output, id: string): Promise<void> {
  const story = await withDatabase((pool) => readStory(pool, id));
  out.result(story, (colours) => storyText(story, colours));
}

async function readStory(pool: Pool, id: string) {
  const [event, deliveries, deadLetters, revisions, audit, unrouted] = await Promise.all([
    readEvent(pool, id),
    readDeliveries(pool, id),
    listDeadLetters(pool, { status: 'all', eventId: id }, null, linesShown),
    readRevisions(pool, id),
    readEventAudit(pool, id, linesShown),
    isUnrouted(pool, id),
  ]);
  if (event === undefined && deliveries.length + deadLetters.length + audit.length === 0) throw notFound(id);
  const names = new Set([...deliveries, ...deadLetters].map(({ destination }) => destination));
  const attempts = await Promise.all(
    [...names].sort().map(async (destination) => ({
      destination,
      attempts: await readAttempts(pool, id, destination, linesShown),
    })),
  );
  return {
    id,
    event: await payloadReader(pool)(event?.type ?? '', event),
    unrouted,
    deliveries,
    attempts: attempts.filter((each) => each.attempts.length > 0),
    deadLetters: deadLetters.reverse(),
    revisions,
    audit,
  };
}

function notFound(id: string): OutboxError {
  return new OutboxError('OUTBOX_NOT_FOUND', `there is no event ${id}`, {
    hint: 'Events go with their day, retention.events after they were written.',
  });
}

function storyText(story: Story, colours: Colours): string {
  return [
    eventText(story, colours),
    section('deliveries', story.deliveries, colours, (rows) => table(deliveryColumns, rows, colours)),
    ...story.attempts.map(({ destination, attempts }) =>
      section(`attempts at ${printable(destination)}`, attempts, colours, (rows) =>
        attemptTable(rows, colours),
      ),
    ),
    section('dead letters', story.deadLetters, colours, (rows) => lines(rows.map(deadLetterText))),
    section('edits', story.revisions, colours, (rows) => lines(rows.map(revisionText))),
    section('commands', story.audit, colours, (rows) => lines(rows.map(auditText))),
  ]
    .filter(Boolean)
    .join('\n');
}

function eventText({ id, event, unrouted }: Story, colours: Colours): string {
  if (event === null) return `${colours.bold(`event ${id}`)}\n  its text is no longer in the database\n`;
  const optional = (label: string, value: string | null): [string, string][] =>
    value === null ? [] : [[label, printable(value)]];
  const known: [string, string][] = [
    ['type', printable(event.type)],
    ['created', `${shortTime(event.createdAt)} UTC`],
    ...optional('deliver at', event.deliverAt === null ? null : `${shortTime(event.deliverAt)} UTC`),
    ...optional('key', event.key),
    ...optional('dedup key', event.dedupKey),
    ...optional('source', event.source),
    ...optional('subject', event.subject),
    ...optional('content type', event.contentType === 'application/json' ? null : event.contentType),
    ...Object.entries(event.headers).map(([name, value]): [string, string] => [
      `header ${printable(name)}`,
      printable(value),
    ]),
    ...(unrouted ? [['routed', colours.yellow('no route took it')] as [string, string]] : []),
  ];
  const payload =
    event.erasedAt === null
      ? payloadShown(event, colours)
      : `${colours.yellow(`erased ${shortTime(event.erasedAt)} UTC`)}\n`;
  return `${colours.bold(`event ${id}`)}\n${facts(known, colours)}\n${payload}`;
}

function section<Row>(
  title: string,
  rows: readonly Row[],
  colours: Colours,
  textOf: (rows: readonly Row[]) => string,
): string {
  return rows.length === 0 ? '' : `${colours.bold(title)}\n${textOf(rows)}`;
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `  ${printable(text)}\n`).join('');
}

type Delivery = Story['deliveries'][number];

const deliveryColumns = [
  { title: 'DESTINATION', value: ({ destination }: Delivery) => destination },
  { title: 'STATE', value: ({ state }: Delivery) => shownState(state) },
  { title: 'TRIES', align: 'right' as const, value: ({ tries }: Delivery) => String(tries) },
  { title: 'REVISION', align: 'right' as const, value: ({ revision }: Delivery) => String(revision) },
  {
    title: 'WHEN (UTC)',
    value: ({ deliveredAt, dueAt }: Delivery) =>
      deliveredAt !== null ? shortTime(deliveredAt) : dueAt === null ? '' : `next ${shortTime(dueAt)}`,
  },
  { title: 'WORKFLOW', value: ({ workflowId }: Delivery) => workflowId ?? '' },
];

function deadLetterText(letter: DeadLetter): string {
  const { id, destination, parkedAt, reason, resolution, resolvedBy, resolvedAt, redirectedTo } = letter;
  const to = redirectedTo === null ? '' : ` to ${redirectedTo}`;
  const end =
    resolution === null
      ? 'waits for a person'
      : `${resolution}${to} by ${printable(resolvedBy ?? 'somebody')} at ${shortTime(resolvedAt ?? '')}`;
  return `${id}: ${destination}, parked ${shortTime(parkedAt)}, ${reason}; ${end}`;
}

function revisionText({
  destination,
  revision,
  madeAt,
  madeBy,
  reason,
  ...payload
}: Story['revisions'][number]): string {
  const why = reason === null ? '' : ` (${printable(reason)})`;
  const who = printable(madeBy ?? 'somebody');
  return `${shortTime(madeAt)}  revision ${revision} for ${destination} by ${who}${why}: ${cut(payloadInShort(payload), 200)}`;
}
