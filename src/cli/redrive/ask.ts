import type { Redrive, RedrivePreview } from '../../redrive/index.ts';
import { refuseUsage } from '../failure.ts';
import { refuseUnknownDestination } from '../knownDestination.ts';
import type { Output } from '../output.ts';
import { whoOf } from '../who.ts';
import { follow } from './follow.ts';
import { filtersGiven, requestOf, type RequestOptions } from './options.ts';
import { withRedrives, withRedrivesAndTemporal, type Place } from './place.ts';
import { previewText } from './preview.ts';
import { endOf, lettersText } from './text.ts';

export interface StartOptions extends RequestOptions {
  readonly yes?: boolean;
  /** Stay until it is over, `timeout` milliseconds at most. */
  readonly follow?: boolean;
  readonly timeout?: number;
}

/** `redrive preview` */
export async function preview(out: Output, options: RequestOptions): Promise<void> {
  refuseEmpty('preview', options);
  const found = await withRedrives(out, (place) => freeze(place, options));
  out.result(resultOf(found), (colours) => previewText(found, colours));
}

/** `redrive start`, of a number or of a filter. Answers the exit code. */
export async function start(out: Output, id: number | undefined, options: StartOptions): Promise<0 | 1> {
  if (id !== undefined && filtersGiven(options).length > 0)
    refuseUsage('give the number of a previewed redrive or a filter, not both');
  if (id === undefined) refuseEmpty('start', options);
  if (options.yes !== true) await confirm(out, id, options);
  return withRedrivesAndTemporal(out, async (place) => {
    const { redrives } = place;
    const { redrive } = id === undefined ? await freeze(place, options) : await redrives.status(id);
    if (redrive.total === 0) return nothing(out, redrive);
    const started = await redrives.start(redrive.id, whoOf(options));
    if (options.follow !== true) {
      out.result(startedOf(started), () => startedText(started));
      return 0;
    }
    const end = await follow(out, redrives, redrive.id, options.timeout);
    out.result(startedOf(end), (colours) => endOf(end, colours));
    return end.state === 'done' && end.failed === 0 && end.retrying === 0 ? 0 : 1;
  });
}

async function freeze({ pool, redrives }: Place, options: RequestOptions): Promise<RedrivePreview> {
  const found = await redrives.preview(requestOf(options), whoOf(options));
  if (found.redrive.total === 0) await refuseUnknownDestination(pool, options.destination);
  return found;
}

/** Nothing is started: what was frozen is shown, and the command that starts just that. */
async function confirm(out: Output, id: number | undefined, options: StartOptions): Promise<void> {
  const { redrive, sample } = await withRedrives(out, async (place) =>
    id === undefined
      ? freeze(place, options)
      : {
          redrive: (await place.redrives.status(id)).redrive,
          sample: await place.redrives.sample(id),
        },
  );
  if (!out.json) process.stderr.write(previewText({ redrive, sample }, out.colours));
  const { id: frozen, action, total } = redrive;
  refuseUsage(
    total === 0
      ? 'no open dead letters match: nothing was done'
      : `redrive ${frozen} would ${action} ${lettersText(total)}; nothing was done`,
    total === 0 ? undefined : `temporal-outbox redrive start ${frozen} --yes`,
  );
}

function nothing(out: Output, redrive: Redrive): 0 {
  out.note('no open dead letters match: nothing was done');
  out.result(startedOf(redrive), () => '');
  return 0;
}

function refuseEmpty(command: string, options: RequestOptions): void {
  if (filtersGiven(options).length > 0) return;
  refuseUsage(
    `${command} what?`,
    `redrive ${command} with a filter: --destination, --cause, --type, --key, --since, --status, …, or --all.`,
  );
}

function resultOf({ redrive, sample }: RedrivePreview) {
  return { id: redrive.id, count: redrive.total, leftOut: redrive.leftOut, sample };
}

function startedOf(redrive: Redrive) {
  return { ...redrive, count: redrive.total };
}

function startedText({ id, total }: Redrive): string {
  return `redrive ${id} started: ${lettersText(total)}\n\n  temporal-outbox redrive status ${id} --follow\n`;
}
