import { notFound } from '../../deadletter/letters.ts';
import type { Pool } from '../../storage/connect.ts';
import {
  findDeadLetters,
  readAttempts,
  readAudit,
  readDeadLetterEvent,
  readDeliveryState,
  readEpisodes,
  type DeadLetter,
} from '../../storage/deadLetters.ts';
import { auditText, firstWordText } from '../auditText.ts';
import { readFirstWords } from '../../storage/audit.ts';
import { attemptTable } from '../attemptTable.ts';
import { readRevisions } from '../../storage/eventStory.ts';
import { pauseNoteOf } from '../../storage/paused.ts';
import { readBlockedKeys } from '../../storage/status.ts';
import { withDatabase } from '../database.ts';
import type { Colours, Output } from '../output.ts';
import { payloadReader, payloadShown } from '../payloadShown.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { facts } from '../table.ts';
import { workflowLink } from '../../core/temporalUi.ts';

type Details = Awaited<ReturnType<typeof readDetails>>;

const linesShown = 50;

/** `dlq show` */
export async function show(out: Output, id: number): Promise<void> {
  const details = await withDatabase((pool) => readDetails(pool, id));
  out.result(details, (colours) => detailsText(details, colours));
}

async function readDetails(pool: Pool, id: number) {
  const [deadLetter] = await findDeadLetters(pool, [id]);
  if (deadLetter === undefined) throw notFound([id]);
  const { eventId, destination } = deadLetter;
  const [event, attempts, episodes, audit, firstWords, delivery, [blocked], paused, revisions] =
    await Promise.all([
      readDeadLetterEvent(pool, id),
      readAttempts(pool, eventId, destination, linesShown),
      readEpisodes(pool, eventId, destination),
      readAudit(pool, deadLetter, linesShown),
      deadLetter.resolvedAt === null ? readFirstWords(pool, { letter: id }) : [],
      readDeliveryState(pool, eventId, destination),
      readBlockedKeys(pool, 1, { eventId, destination }),
      deadLetter.resolvedAt === null ? pauseNoteOf(pool, deadLetter.workflowId) : null,
      readRevisions(pool, eventId),
    ]);
  const read = payloadReader(pool);
  return {
    ...deadLetter,
    workflowUrl: linkTo(deadLetter),
    delivery,
    /** Who paused its workflow in the Temporal UI, and why; null when nobody was seen to. */
    workflowPaused: paused,
    blocks: blocked === undefined ? null : { key: blocked.key, waiting: blocked.waiting },
    event: await read(deadLetter.eventType, event),
    /** What it was edited to since, oldest first. */
    edits: await Promise.all(
      revisions
        .filter((each) => each.destination === destination && each.revision > deadLetter.revision)
        .map(async (each) => ({
          ...each,
          ...(await read(deadLetter.eventType, { ...each, contentType: event?.contentType ?? '' })),
        })),
    ),
    attemptHistory: attempts,
    otherEpisodes: episodes.filter((episode) => episode.id !== id),
    audit,
    /** What one person said, and waits for another one to say. */
    waitingForSecond: firstWords,
  };
}

function linkTo({ workflowId }: DeadLetter): string | null {
  const ui = process.env['TEMPORAL_UI_URL'];
  return ui === undefined || ui === ''
    ? null
    : workflowLink(ui, process.env['TEMPORAL_NAMESPACE'] || 'default', workflowId);
}

function detailsText(details: Details, colours: Colours): string {
  const title = `dead letter ${details.id}: ${printable(details.eventType)} → ${details.destination}`;
  return [
    `${colours.bold(title)}\n${facts(headLines(details, colours), colours)}`,
    eventText(details, colours),
    ...details.edits.map((edit) => editText(edit, details, colours)),
    details.attemptHistory.length === 0
      ? ''
      : `${colours.bold('attempts')}\n${attemptTable(details.attemptHistory, colours)}`,
    section('other episodes', details.otherEpisodes.map(episodeText), colours),
    section('commands', details.audit.map(auditText), colours),
    section('waits for a second person', details.waitingForSecond.map(firstWordText), colours),
    details.resolvedAt === null ? whatNext(details.id, colours) : '',
  ]
    .filter(Boolean)
    .join('\n');
}

function headLines(details: Details, colours: Colours): [string, string][] {
  const resolved =
    details.resolvedAt === null
      ? colours.red('no, it waits for a person')
      : `${shortTime(details.resolvedAt)}: ${details.resolution} by ${printable(details.resolvedBy ?? 'somebody')}` +
        (details.redirectedTo === null ? '' : ` to ${details.redirectedTo}`) +
        (details.resolutionReason === null ? '' : `, ${printable(details.resolutionReason)}`);
  return [
    ['event', details.eventId + (details.revision > 1 ? ` (revision ${details.revision})` : '')],
    ['parked', `${shortTime(details.parkedAt)} UTC, ${details.reason}`],
    ['tries', `${details.tries}, ${details.attempts} of them charged`],
    ['last answer', printable(lastWords(details))],
    ...(details.cause === null ? [] : [['cause', details.cause] as [string, string]]),
    ['resolved', resolved],
    ['delivery', details.delivery ?? 'gone'],
    ...(details.blocks === null ? [] : [['blocks', blocksText(details.blocks)] as [string, string]]),
    ['workflow', details.workflowId],
    ...(details.workflowPaused === null
      ? []
      : [['', colours.yellow(printable(details.workflowPaused))] as [string, string]]),
    ['Temporal UI', details.workflowUrl ?? colours.dim('set TEMPORAL_UI_URL, and its link is shown here')],
  ];
}

/** What the receiver or the database said last; a letter that was parked for another reason has it in the history alone. */
function lastWords({ lastError, lastErrorClass, attemptHistory, tries }: Details): string {
  const latest = attemptHistory.reduce<Details['attemptHistory'][number] | undefined>(
    (last, each) => (each.errorClass !== null && each.try >= (last?.try ?? 0) ? each : last),
    undefined,
  );
  const said = lastError ?? latest?.message ?? lastErrorClass ?? latest?.errorClass;
  return said ?? (tries === 0 ? 'none: it was never sent' : 'none was recorded');
}

function blocksText({ key, waiting }: NonNullable<Details['blocks']>): string {
  const events = waiting === 1 ? '1 later event of' : `${waiting} later events of`;
  return `${events} key ${printable(key)} ${waiting === 1 ? 'waits' : 'wait'} for it`;
}

function eventText({ event }: Details, colours: Colours): string {
  if (event === null) return 'its event is no longer in the database\n';
  const optional = (label: string, value: string | null): [string, string][] =>
    value === null ? [] : [[label, printable(value)]];
  const lines: [string, string][] = [
    ['created', `${shortTime(event.createdAt)} UTC`],
    ...optional('key', event.key),
    ...optional('source', event.source),
    ...optional('subject', event.subject),
    ['content type', event.contentType],
    ...Object.entries(event.headers).map(([name, value]): [string, string] => [
      `header ${printable(name)}`,
      printable(value),
    ]),
  ];
  return `${colours.bold('event')}\n${facts(lines, colours)}\n${payloadShown(event, colours)}`;
}

/** The original stays as it is; this is what was, or will be, sent in its place. */
function editText(
  { revision, madeAt, madeBy, ...content }: Details['edits'][number],
  { event }: Details,
  colours: Colours,
): string {
  const by = madeBy === null ? '' : ` by ${printable(madeBy)}`;
  const title = `edited ${shortTime(madeAt)}${by}: revision ${revision}`;
  return `${colours.bold(title)}\n${payloadShown({ ...content, contentType: event?.contentType ?? '' }, colours)}`;
}

function section(title: string, lines: readonly string[], colours: Colours): string {
  return lines.length === 0
    ? ''
    : `${colours.bold(title)}\n${lines.map((line) => `  ${printable(line)}\n`).join('')}`;
}

function episodeText(episode: DeadLetter): string {
  const end =
    episode.resolution === null
      ? 'open'
      : `${episode.resolution} by ${printable(episode.resolvedBy ?? 'somebody')}`;
  return `${episode.id}: parked ${shortTime(episode.parkedAt)}, ${episode.reason}; ${end}`;
}

function whatNext(id: number, colours: Colours): string {
  const commands = [
    `retry ${id}`,
    `edit ${id} --file F`,
    `redirect ${id} --to D`,
    `discard ${id} --reason R`,
  ];
  return colours.dim(`temporal-outbox dlq ${commands.join(' | ')}\n`);
}
