import { setCurrentDetails } from '@temporalio/workflow';
import type { ReplayStanding } from '../activities/index.ts';
import type { PacedAction } from '../src/core/command.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import type { CommandLine } from './contract.ts';
import { commandLog, utc } from './page.ts';

/** The Markdown a person reads on the page of a replay's workflow: how far it is, what it leaves out and why, what to send. */
export function showReplay(standing: ReplayStanding, lines: readonly CommandLine<PacedAction>[]): void {
  setCurrentDetails(
    [heading(standing), facts(standing), byType(standing), whatToSend(standing), commandLog(lines)]
      .filter(Boolean)
      .join('\n\n'),
  );
}

const states: Readonly<Record<ReplayStanding['state'], string>> = {
  previewed: 'is a **preview**: nothing is sent before `resume`',
  running: 'is **running**',
  paused: 'is **paused**, waiting for a person',
  stopped: 'has **stopped**, waiting for a person',
  canceled: 'was **cancelled**',
  done: 'is **done**',
};

function heading({ state, to, handled, total }: ReplayStanding): string {
  const where = to === null ? 'where the routes say' : `to ${plain(to)}`;
  const percent = total === 0 ? 100 : Math.floor((handled / total) * 100);
  return `### The replay ${where} ${states[state]}: ${handled} of ${total} events (${percent} %)`;
}

function facts(standing: ReplayStanding): string {
  const { filter, rate, done, deliveries, skippedBecause: skipped, preview, because, late } = standing;
  const { leftOut } = preview;
  const of = (count: number | undefined, why: string): string[] =>
    count === undefined || count === 0 ? [] : [`- ${count} ${why}`];
  return [
    `- ${plain(
      Object.entries(filter)
        .filter(([field]) => field !== 'like')
        .map(([field, value]) => `${field} ${value}`)
        .join(', ') || 'everything that is kept',
    )}`,
    `- at most ${rate} events a second`,
    ...(because === null ? [] : [`- **waits: ${plain(because)}**`]),
    `- sent: ${done} events, ${deliveries} deliveries`,
    ...of(skipped.hadOne, 'skipped: that destination had them before'),
    ...of(skipped.late, 'skipped: their destination keeps order and got newer events of their keys'),
    ...of(skipped.noRoute, 'skipped: no route takes them; they stay counted as such'),
    ...of(skipped.gone, 'skipped: erased, or past retention'),
    ...of(leftOut.hadOne, 'left out: that destination had them before'),
    ...of(leftOut.unknown, 'left out: whether that destination had them is not known any more'),
    ...(standing.state === 'previewed'
      ? [...of(preview.noRoute, 'that no route would take'), ...of(preview.late, lateText[late])]
      : []),
    ...(preview.oldestAt === null ? [] : [`- written ${utc(preview.oldestAt)} to ${utc(preview.newestAt)}`]),
    ...(preview.keptSince === null ? [] : [`- events are kept since ${utc(preview.keptSince)}`]),
  ].join('\n');
}

const lateText = {
  skip: 'to be skipped: their destination keeps order and got newer events of their keys',
  send: 'that come after newer events of their keys, as `late: send` asks',
} as const;

function byType({ preview }: ReplayStanding): string {
  if (preview.byType.length === 0) return '';
  const rows = preview.byType.map(({ type, events }) => `| ${plain(type)}\u00a0\u00a0 | ${events} |`);
  return ['| type\u00a0\u00a0 | events |', '|---|---|', ...rows].join('\n');
}

function whatToSend({ state, id }: ReplayStanding): string {
  if (state === 'done' || state === 'canceled') return '';
  return [
    '**More Actions → Send a Signal** and one of:',
    '',
    state === 'running'
      ? '- `pause`, input empty: send no more until it is resumed'
      : `- \`resume\`, input empty: ${state === 'previewed' ? 'begin' : 'go on'}`,
    '- `cancel`, input empty: end it; what was sent stays sent',
    '',
    `Or from a shell: \`temporal-outbox routes replay ${state === 'running' ? 'pause' : 'resume'} ${id}\``,
  ].join('\n');
}
