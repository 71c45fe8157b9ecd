import type { RedrivePreview, RedriveRequest } from '../../redrive/index.ts';
import type { RedriveSample } from '../../redrive/index.ts';
import { refuseUsage } from '../failure.ts';
import type { Colours, Output } from '../output.ts';
import { systemUser } from '../../core/systemUser.ts';
import { cut, printable, table } from '../table.ts';
import { follow } from './follow.ts';
import { withRedrives, withRedrivesAndTemporal } from './place.ts';
import { endOf, lettersText } from './text.ts';

/** Options that become a request. */
export interface AskOptions extends Omit<RedriveRequest, 'letters' | 'steps'> {
  readonly letter?: readonly number[];
  readonly steps?: readonly number[];
  readonly actor?: string;
}

export interface StartOptions extends AskOptions {
  readonly yes?: boolean;
  readonly follow?: boolean;
}

/** `redrive preview` */
export async function preview(out: Output, options: AskOptions): Promise<void> {
  refuseEmpty('preview', options);
  const found = await withRedrives(out, (redrives) =>
    redrives.preview(requestOf(options), { actor: actorOf(options) }),
  );
  out.result(resultOf(found), (colours) => previewText(found, colours));
}

/** `redrive start`, of a number or of a filter. Answers the exit code. */
export async function start(out: Output, id: number | undefined, options: StartOptions): Promise<0 | 1> {
  if (id !== undefined && !isEmpty(options))
    refuseUsage('give the number of a previewed redrive or a filter, not both');
  if (id === undefined) refuseEmpty('start', options);
  const who = {
    actor: actorOf(options),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  if (options.yes !== true) await confirm(out, id, options);
  return withRedrivesAndTemporal(out, async (redrives) => {
    const frozen = id ?? (await redrives.preview(requestOf(options), who)).redrive.id;
    const { total } = (await redrives.status(frozen)).redrive;
    if (total === 0) {
      out.result({ id: frozen, count: 0 }, () => 'no open dead letters match: nothing was done\n');
      return 0;
    }
    const started = await redrives.start(frozen, who);
    if (options.follow === true) {
      const end = await follow(out, redrives, frozen);
      out.result({ ...end, count: total }, (colours) => endOf(end, colours));
      return end.state === 'done' && end.failed === 0 ? 0 : 1;
    }
    out.result(
      { id: frozen, count: started.total },
      () =>
        `redrive ${frozen} started: ${lettersText(started.total)}\n\n  temporal-outbox redrive status ${frozen} --follow\n`,
    );
    return 0;
  });
}

/** Nothing is started: what was frozen is shown, and the command that starts just that. */
async function confirm(out: Output, id: number | undefined, options: StartOptions): Promise<never> {
  const { redrive, sample } = await withRedrives(out, async (redrives) =>
    id === undefined
      ? redrives.preview(requestOf(options), { actor: actorOf(options) })
      : { redrive: (await redrives.status(id)).redrive, sample: await redrives.sample(id) },
  );
  if (!out.json) process.stderr.write(previewText({ redrive, sample }, out.colours));
  return refuseUsage(
    `redrive ${redrive.id} would ${redrive.action} ${lettersText(redrive.total)}; nothing was done`,
    `temporal-outbox redrive start ${redrive.id} --yes`,
  );
}

export function actorOf({ actor }: { readonly actor?: string }): string {
  return actor ?? systemUser();
}

const otherOptions = ['action', 'patch', 'to', 'steps', 'rate', 'maxFailures', 'reason'] as const;

function requestOf(options: AskOptions): RedriveRequest {
  const given = [...filterOptions, ...otherOptions].flatMap((name) =>
    options[name] === undefined ? [] : [[name === 'letter' ? 'letters' : name, options[name]]],
  );
  return Object.fromEntries(given) as RedriveRequest;
}

const filterOptions = [
  'destination',
  'cause',
  'type',
  'key',
  'since',
  'until',
  'status',
  'text',
  'payload',
  'parkedFor',
  'letter',
  'all',
] as const;

function isEmpty(options: AskOptions): boolean {
  return filterOptions.every((name) => options[name] === undefined);
}

function refuseEmpty(command: string, options: AskOptions): void {
  if (!isEmpty(options)) return;
  refuseUsage(
    `${command} what?`,
    `redrive ${command} with a filter: --destination, --cause, --type, --key, --since, --status, …, or --all.`,
  );
}

function resultOf({ redrive, sample }: RedrivePreview) {
  return { id: redrive.id, count: redrive.total, leftOut: redrive.leftOut, sample };
}

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ letterId }: RedriveSample) => String(letterId) },
  { title: 'DESTINATION', value: ({ destination }: RedriveSample) => destination },
  { title: 'TYPE', value: ({ eventType }: RedriveSample) => cut(printable(eventType), 40) },
  { title: 'LAST ANSWER', value: ({ lastError }: RedriveSample) => cut(printable(lastError ?? ''), 72) },
];

function previewText({ redrive, sample }: RedrivePreview, colours: Colours): string {
  const { id, action, total, leftOut, to } = redrive;
  const what = `${action}${to === null ? '' : ` to ${to}`}`;
  const lines = [`${colours.bold(`redrive ${id}: ${what} ${lettersText(total)}`)}; nothing was sent\n`];
  for (const [why, count] of Object.entries(leftOut))
    lines.push(`  left out: ${lettersText(count)}, ${printable(why)}\n`);
  if (sample.length > 0) lines.push('\n', table(columns, sample, colours));
  if (total > sample.length) lines.push(`… and ${total - sample.length} more\n`);
  if (action === 'edit') lines.push(...sample.map((each) => diffText(each, colours)));
  if (total > 0) lines.push(`\n  temporal-outbox redrive start ${id} --yes\n`);
  return lines.join('');
}

function diffText({ letterId, before, after, problem }: RedriveSample, colours: Colours): string {
  const head = `\n${colours.bold(`letter ${letterId}`)}\n`;
  if (problem !== null) return `${head}  ${colours.yellow('skipped')}: ${printable(problem)}\n`;
  return `${head}  ${colours.red(`- ${printable(before ?? '')}`)}\n  ${colours.green(`+ ${printable(after ?? '')}`)}\n`;
}
