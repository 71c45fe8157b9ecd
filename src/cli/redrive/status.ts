import type { Redrive, RedriveMember, RedriveStatus } from '../../redrive/index.ts';
import type { Colours, Output } from '../output.ts';
import { auditText, firstWordText } from '../auditText.ts';
import { barOf } from '../progressBar.ts';
import { shortTime } from '../spokenTime.ts';
import { cut, facts, printable, table } from '../table.ts';
import { follow } from './follow.ts';
import { withRedrives } from './place.ts';
import { countsText, endOf, handledOf, lettersText } from './text.ts';

export interface StatusOptions {
  readonly members?: boolean;
  readonly follow?: boolean;
}

/** `redrive status`. Answers the exit code: 1 of one that stopped. */
export async function status(out: Output, id: number, options: StatusOptions): Promise<0 | 1> {
  const { found, members } = await withRedrives(out, async ({ redrives }) => {
    if (options.follow === true) await follow(out, redrives, id);
    return {
      found: await redrives.status(id),
      members:
        options.members === true ? await allMembers((after) => redrives.members(id, after)) : undefined,
    };
  });
  const { redrive, skipped, audit, waitingForSecond } = found;
  const value = {
    ...redrive,
    skippedWhy: skipped,
    waitingForSecond,
    audit,
    ...(members === undefined ? {} : { members }),
  };
  out.result(value, (colours) => statusText(found, members, colours));
  return options.follow === true && redrive.state === 'stopped' ? 1 : 0;
}

async function allMembers(page: (after: number) => Promise<RedriveMember[]>): Promise<RedriveMember[]> {
  const all: RedriveMember[] = [];
  for (;;) {
    const next = await page(all.at(-1)?.ordinal ?? 0);
    if (next.length === 0) return all;
    all.push(...next);
  }
}

/** `redrive list` */
export async function list(out: Output, { limit }: { readonly limit: number }): Promise<void> {
  const items = await withRedrives(out, ({ redrives }) => redrives.list(limit));
  out.result({ items }, (colours) => (items.length === 0 ? 'no redrives\n' : table(columns, items, colours)));
}

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ id }: Redrive) => String(id) },
  { title: 'MADE (UTC)', value: ({ madeAt }: Redrive) => shortTime(madeAt) },
  { title: 'STATE', value: ({ state }: Redrive) => state },
  { title: 'ACTION', value: ({ action }: Redrive) => action },
  { title: 'LETTERS', value: (redrive: Redrive) => countsText(redrive) },
  { title: 'BY', value: ({ startedBy, madeBy }: Redrive) => cut(printable(startedBy ?? madeBy ?? ''), 20) },
  { title: 'WHICH', value: (redrive: Redrive) => cut(printable(filterText(redrive)), 60) },
];

function filterText({ filter }: Redrive): string {
  const shown = Object.entries(filter).filter(([field]) => field !== 'typeLike');
  return shown.length === 0 ? 'all' : JSON.stringify(Object.fromEntries(shown));
}

function statusText(
  { redrive, skipped, audit, waitingForSecond }: RedriveStatus,
  members: readonly RedriveMember[] | undefined,
  colours: Colours,
): string {
  const { action, to, steps, rate, maxFailures, startedAt, startedBy, madeAt, madeBy, reason, leftOut } =
    redrive;
  const lines: [string, string][] = [
    ['progress', `${barOf(handledOf(redrive), redrive.total)}, ${countsText(redrive)}`],
    ['action', `${action}${to === null ? '' : ` to ${to}`}`],
    ['which', printable(filterText(redrive))],
    [
      'pace',
      `steps of ${steps.join(', ')}, then ${rate === null ? `${steps.at(-1)} at a time` : `${rate} a second`}`,
    ],
    ['stops', `above ${Math.round(maxFailures * 1000) / 10}% failures`],
    ['previewed', `${shortTime(madeAt)} UTC by ${printable(madeBy ?? 'somebody')}`],
  ];
  if (startedAt !== null)
    lines.push(['started', `${shortTime(startedAt)} UTC by ${printable(startedBy ?? 'somebody')}`]);
  if (reason !== null) lines.push(['because', printable(reason)]);
  for (const [why, count] of Object.entries(leftOut))
    lines.push(['left out', `${lettersText(count)}, ${printable(why)}`]);
  for (const { why, letters } of skipped)
    lines.push(['skipped', `${lettersText(letters)}, ${printable(why)}`]);
  for (const word of waitingForSecond) lines.push(['waits', `for a second person: ${firstWordText(word)}`]);
  const commands =
    audit.length === 0
      ? ''
      : `\n${colours.bold('commands')}\n${audit.map((line) => `  ${auditText(line)}\n`).join('')}`;
  const all = members === undefined ? '' : `\n${table(memberColumns, members, colours)}`;
  return `${endOf(redrive, colours)}${facts(lines, colours)}${commands}${all}`;
}

const memberColumns = [
  { title: 'LETTER', align: 'right' as const, value: ({ letterId }: RedriveMember) => String(letterId) },
  { title: 'EVENT', value: ({ eventId }: RedriveMember) => eventId },
  { title: 'DESTINATION', value: ({ destination }: RedriveMember) => destination },
  { title: 'STATE', value: ({ state }: RedriveMember) => state },
  { title: 'WHY', value: ({ why }: RedriveMember) => cut(printable(why ?? ''), 80) },
];
