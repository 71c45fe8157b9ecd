/** What people read of replays. */
import { describeDuration } from '../../core/duration.ts';
import { printable } from '../../core/printable.ts';
import type { ReplayStanding } from '../../storage/replays.ts';
import type { Colours } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { cut, facts, table } from '../table.ts';
import { counted } from '../../core/counted.ts';

type Fact = [string, string];

export function previewText(standing: ReplayStanding, colours: Colours): string {
  const { id, total, preview, rate, to, late } = standing;
  const { leftOut } = preview;
  const told = (count: number | undefined, name: string, why: string): Fact[] =>
    count === undefined || count === 0 ? [] : [[name, `${count} ${why}`]];
  const rows: Fact[] = [
    ['events', `${total}, ${whatText(standing)}`],
    ...(preview.oldestAt === null || preview.newestAt === null
      ? []
      : [['written', `${utcTime(preview.oldestAt)} to ${utcTime(preview.newestAt)} UTC`] as Fact]),
    [
      'kept since',
      preview.keptSince === null ? '-' : `${utcTime(preview.keptSince)} UTC: events of before are gone`,
    ],
    ...told(preview.noRoute, 'no route', 'that no route would take: they stay as they are'),
    ...told(leftOut.hadOne, 'left out', `that ${to} had before`),
    ...told(leftOut.unknown, 'left out', `of which it is not known any more whether ${to} had them`),
    ...told(preview.late, 'late', lateText[late]),
    ['pace', `${rate} a second: ${describeDuration(Math.ceil(total / rate) * 1000)}`],
  ];
  const types = preview.byType.map(({ type, events }) => `  ${printable(type)}  ${events}\n`).join('');
  const next =
    total === 0 ? 'nothing to send\n' : `nothing is sent yet: temporal-outbox routes replay resume ${id}\n`;
  return `${facts(rows, colours)}${types}${next}`;
}

const lateText = {
  skip: 'whose destination keeps order and got newer events of their keys: skipped, unless --late send',
  send: 'that come after newer events of their keys',
} as const;

function whatText({ to, filter }: Pick<ReplayStanding, 'to' | 'filter'>): string {
  const given = Object.entries(filter)
    .filter(([field]) => field !== 'like')
    .map(([field, value]) => `${field} ${printable(value)}`);
  return [to === null ? 'that no route took' : `to ${to}`, ...given].join(', ');
}

export function standingText(standing: ReplayStanding, colours: Colours): string {
  const {
    state,
    handled,
    total,
    done,
    deliveries,
    skippedBecause: skipped,
    because,
    createdBy,
    createdAt,
  } = standing;
  const why = [
    [skipped.hadOne, 'had before'],
    [skipped.late, 'late'],
    [skipped.noRoute, 'no route'],
    [skipped.gone, 'gone'],
  ].filter(([count]) => count !== 0);
  return facts(
    [
      [
        'state',
        `${stateText(state, colours)}${because === null ? '' : ` ${colours.yellow(printable(because))}`}`,
      ],
      ['events', `${handled} of ${total}, ${whatText(standing)}`],
      ['sent', `${counted(done, 'event')}, ${counted(deliveries, 'delivery')}`],
      ...(standing.skipped === 0
        ? []
        : [['skipped', `${standing.skipped}: ${why.map((each) => each.join(' ')).join(', ')}`] as Fact]),
      ['pace', `${standing.rate} a second`],
      ['made', `${utcTime(createdAt)} UTC by ${printable(createdBy ?? 'somebody')}`],
      ['workflow', standing.workflowId],
    ],
    colours,
  );
}

export function listText(items: readonly ReplayStanding[], colours: Colours): string {
  if (items.length === 0) return 'no replays\n';
  return table(
    [
      { title: 'ID', value: ({ id }: ReplayStanding) => id },
      { title: 'STATE', value: ({ state }: ReplayStanding) => stateText(state, colours) },
      {
        title: 'EVENTS',
        align: 'right',
        value: ({ handled, total }: ReplayStanding) => `${handled} of ${total}`,
      },
      { title: 'MADE', value: ({ createdAt }: ReplayStanding) => utcTime(createdAt) },
      { title: 'WHAT', value: (item: ReplayStanding) => cut(whatText(item), 60) },
    ],
    items,
    colours,
  );
}

function stateText(state: ReplayStanding['state'], colours: Colours): string {
  if (state === 'running' || state === 'done') return colours.green(state);
  return state === 'stopped' || state === 'canceled' ? colours.red(state) : colours.yellow(state);
}

/** PostgreSQL's JSON has them in its own time zone. */
function utcTime(at: string): string {
  return shortTime(new Date(at).toISOString());
}
