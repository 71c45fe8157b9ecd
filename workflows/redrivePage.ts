import { setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { Redrive, RedriveLetter } from '../activities/index.ts';
import type { PacedAction } from '../src/core/command.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import { startPage } from '../src/core/temporalUi.ts';
import type { CommandLine } from './contract.ts';
import { commandLog, utc } from './page.ts';
import { counted } from '../src/core/counted.ts';

/** The Markdown a person reads on a redrive's page: what it is about, how far it is, what can be done now. */
export function showRedrive(
  redrive: Redrive,
  letters: readonly RedriveLetter[],
  lines: readonly CommandLine<PacedAction>[],
  isNumbered: boolean,
  refused: string | null,
): void {
  const parts = [
    heading(redrive, refused),
    what(redrive),
    redrive.state === 'previewed' ? sample(letters, redrive.total) : progress(redrive),
    whatToDo(redrive, isNumbered),
    commandLog(lines),
  ];
  setCurrentDetails(parts.filter(Boolean).join('\n\n'));
}

/** The Temporal UI's start page, filled in from this very run: its input is the redrive's number. */
export function startLink(): string {
  const { namespace, taskQueue, workflowId, runId } = workflowInfo();
  return startPage(namespace, { workflowType: 'redrive', taskQueue, workflowId, runId });
}

function heading({ id, state, total, why, pausedBy }: Redrive, refused: string | null): string {
  if (refused !== null) return `### Redrive ${id} was **not started**: ${plain(refused)}`;
  const of = {
    previewed: `previewed: **${letters(total)}** would go. **Nothing was sent**`,
    canary: 'tries the first few',
    running: 'lets letters go',
    paused: `is **paused** by ${plain(pausedBy ?? 'somebody')}, waiting for a person`,
    stopped: `**stopped**: ${plain(why ?? '')}`,
    done: 'is done',
  }[state];
  return `### Redrive ${id} ${of}`;
}

const verbs = {
  retry: 'sent again',
  edit: 'edited and sent',
  redirect: 'sent elsewhere',
  discard: 'given up',
};

function what(redrive: Redrive): string {
  const {
    action,
    to,
    filter,
    steps,
    rate,
    maxFailures,
    leftOut,
    madeAt,
    madeBy,
    startedAt,
    startedBy,
    reason,
  } = redrive;
  const pace = `${steps.join(', ')}, then ${rate === null ? `${steps.at(-1)} at a time` : `at most ${rate} a second`}`;
  const shown = Object.entries(filter).filter(([field]) => field !== 'typeLike');
  return [
    `- **${action}**: letters are ${verbs[action]}${to === null ? '' : ` to ${plain(to)}`}`,
    `- which: ${shown.length === 0 ? '**all** open dead letters' : code(JSON.stringify(Object.fromEntries(shown)))}`,
    action === 'discard'
      ? ''
      : `- steps of ${pace}; it stops when more than ${Math.round(maxFailures * 1000) / 10}% fail again`,
    ...Object.entries(leftOut).map(([why, count]) => `- left out: ${letters(count)}, ${plain(why)}`),
    `- previewed ${utc(madeAt)} by ${plain(madeBy ?? 'somebody')}`,
    startedAt === null ? '' : `- started ${utc(startedAt)} by ${plain(startedBy ?? 'somebody')}`,
    reason === null ? '' : `- because: ${plain(reason)}`,
  ]
    .filter(Boolean)
    .join('\n');
}

function sample(first: readonly RedriveLetter[], total: number): string {
  if (first.length === 0) return '';
  const rows = first.map(
    ({ letterId, eventType, destination, eventId, lastStatus, lastErrorClass }) =>
      `| ${letterId}${gap} | ${plain(eventType)} → ${plain(destination)} \`${eventId}\`${gap} | ${lastStatus ?? plain(lastErrorClass ?? 'none')} |`,
  );
  const more = total > first.length ? [`\n… and ${total - first.length} more`] : [];
  return [`| letter${gap} | event${gap} | last answer |`, '|---|---|---|', ...rows, ...more].join('\n');
}

/** The UI's tables have no space between their columns. */
const gap = '\u00a0\u00a0';

function progress({ total, acted, done, failed, retrying, unanswered, skipped, state }: Redrive): string {
  const left = total - acted - skipped;
  const facts = [
    `**${done}** of ${total} done`,
    `**${failed}** failed again and are parked`,
    retrying === 0 ? '' : `${retrying} failed and are being retried`,
    unanswered === 0 ? '' : `${unanswered} under way`,
    skipped === 0 ? '' : `${skipped} skipped`,
    left === 0 ? '' : `${left} ${state === 'stopped' ? 'left parked' : 'to go'}`,
  ];
  return facts.filter(Boolean).join(' · ');
}

function whatToDo({ id, state, total }: Redrive, isNumbered: boolean): string {
  if (state === 'previewed') {
    if (total === 0) return 'No open dead letter matches: there is nothing to start.';
    return [
      // The start page takes its input from this run: a request there would make another preview.
      isNumbered
        ? `**[Start it](${startLink()})**: the page that opens is filled in; press *Start Workflow*.`
        : `To start it: **Start Workflow**, type \`redrive\`, input \`{"redrive": ${id}}\``,
      `Or from a shell: \`temporal-outbox redrive start ${id} --yes\``,
    ].join('\n\n');
  }
  if (state === 'done' || state === 'stopped')
    return `Each letter and what became of it: \`temporal-outbox redrive status ${id} --members\``;
  return [
    '**More Actions → Send a Signal** and one of:',
    '',
    state === 'paused'
      ? '- `resume`, input empty: go on'
      : '- `pause`, input empty: let nothing more go for now',
    '- `cancel`, input `{"reason": "…"}`: end it; what was not let go stays parked',
    '',
    `Or from a shell: \`temporal-outbox redrive status ${id}\``,
  ].join('\n');
}

function letters(count: number): string {
  return counted(count, 'dead letter');
}

function code(text: string): string {
  return `\`${text.replace(/[`|]/g, (sign) => `\\u{${sign.charCodeAt(0).toString(16)}}`)}\``;
}
