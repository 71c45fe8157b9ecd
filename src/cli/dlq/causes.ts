import { OutboxError } from '../../errors.ts';
import { listCauses, noteCause, type Cause } from '../../storage/causes.ts';
import { listDeadLetters } from '../../storage/deadLetters.ts';
import { withDatabase } from '../database.ts';
import type { Colours, Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { systemUser } from '../../core/systemUser.ts';
import { cut, facts, printable, table } from '../table.ts';

export interface CausesOptions {
  readonly destination?: string;
  readonly all?: boolean;
  readonly limit: number;
}

/** `dlq causes` */
export async function causes(out: Output, { limit, ...filter }: CausesOptions): Promise<void> {
  // One more than asked for tells whether there are more.
  const found = await withDatabase((pool) => listCauses(pool, filter, limit + 1));
  const items = found.slice(0, limit);
  const more = found.length > items.length;
  out.result({ items, more }, (colours) => {
    if (items.length === 0) return 'no open dead letters\n';
    return table(columns, items, colours) + (more ? `\nmore: --limit, up to 1000\n` : '');
  });
}

export interface CauseOptions {
  readonly note?: string;
  readonly owner?: string;
  readonly actor?: string;
}

type CauseWithLetters = Cause & { readonly newest: readonly { readonly id: number }[] };

const lettersShown = 5;

/** `dlq cause` */
export async function cause(out: Output, id: string, options: CauseOptions): Promise<void> {
  const found = await withDatabase(async (pool): Promise<CauseWithLetters | undefined> => {
    if (options.note !== undefined || options.owner !== undefined)
      await noteCause(pool, id, { ...options, actor: options.actor ?? systemUser() });
    const [one] = await listCauses(pool, { id, all: true }, 1);
    if (one === undefined) return undefined;
    return { ...one, newest: await listDeadLetters(pool, { status: 'open', cause: id }, null, lettersShown) };
  });
  if (found === undefined) {
    throw new OutboxError('OUTBOX_NOT_FOUND', `there is no cause ${id}`, {
      hint: 'temporal-outbox dlq causes --all',
    });
  }
  out.result(found, (colours) => causeText(found, colours));
}

function causeText(one: CauseWithLetters, colours: Colours): string {
  const title = `cause ${one.id}: ${one.destination}, ${one.status ?? printable(one.class)}`;
  const lines: [string, string][] = [
    ['says', saysOf(one)],
    ['open', `${one.open}${spanOf(one)}`],
    ['last 24 hours', `${sparkline(one.trend)}  ${one.trend.reduce((total, n) => total + n, 0)} parked`],
    ['owner', printable(one.owner ?? 'nobody')],
    ['note', printable(one.note ?? 'none')],
  ];
  if (one.notedAt !== null)
    lines.push(['', `by ${printable(one.notedBy ?? 'somebody')}, ${shortTime(one.notedAt)} UTC`]);
  if (one.newest.length > 0) lines.push(['newest', one.newest.map(({ id }) => id).join(', ')]);
  const commands = ['list', 'retry'].map((action) => `temporal-outbox dlq ${action} --cause ${one.id}\n`);
  const next = one.open === 0 ? '' : `\n${colours.dim(commands.join(''))}`;
  return `${colours.bold(title)}\n${facts(lines, colours)}${next}`;
}

function spanOf({ firstParkedAt, lastParkedAt }: Cause): string {
  if (firstParkedAt === null || lastParkedAt === null) return '';
  return `, parked from ${shortTime(firstParkedAt)} to ${shortTime(lastParkedAt)} UTC`;
}

const columns = [
  { title: 'CAUSE', value: ({ id }: Cause) => id ?? '-' },
  { title: 'OPEN', align: 'right' as const, value: ({ open }: Cause) => String(open) },
  { title: 'LAST 24 H', value: ({ trend }: Cause) => sparkline(trend) },
  {
    title: 'SINCE (UTC)',
    value: ({ firstParkedAt }: Cause) => (firstParkedAt === null ? '' : shortTime(firstParkedAt)),
  },
  { title: 'DESTINATION', value: ({ destination }: Cause) => destination },
  { title: 'ANSWER', value: ({ status, class: failure }: Cause) => String(status ?? failure) },
  { title: 'SAYS', value: (one: Cause) => cut(saysOf(one), 60) },
  { title: 'OWNER', value: ({ owner }: Cause) => cut(printable(owner ?? ''), 20) },
  { title: 'NOTE', value: ({ note }: Cause) => cut(printable(note ?? ''), 40) },
];

function saysOf({ error, class: failure }: Cause): string {
  return printable(error === '' ? failure : error);
}

const bars = '▁▂▃▄▅▆▇█';

/** One character an hour, the oldest first; a space for none. */
function sparkline(trend: readonly number[]): string {
  const most = Math.max(...trend, 1);
  return trend.map((n) => (n === 0 ? ' ' : (bars[Math.ceil((n / most) * bars.length) - 1] ?? ' '))).join('');
}
