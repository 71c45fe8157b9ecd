import { OutboxError } from '../../errors.ts';
import { keepHouse, type HousekeepingReport } from '../../housekeeping/pass.ts';
import { describeDuration } from '../../core/duration.ts';
import { readSettings } from '../../storage/configuration.ts';
import {
  partitionsPastRetention,
  readLatestPass,
  readRetention,
  type AgedPartition,
} from '../../storage/housekeeping.ts';
import { describeHousekeepingSchedule, type ScheduleStanding } from '../../temporal/schedule.ts';
import { withDatabase } from '../database.ts';
import { silentLog } from '../log.ts';
import type { Colours, Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { printable } from '../../core/printable.ts';
import { facts, table } from '../table.ts';
import { connectForCommand } from '../temporal.ts';

/** `housekeeping run`: one pass, here and now. */
export async function runPass(out: Output): Promise<void> {
  await withDatabase(
    async (pool) => {
      const report = await keepHouse({ pool, log: silentLog, onStep: out.note });
      if (report === null) {
        out.result({ skipped: true, report: null }, () => 'another pass is under way: nothing to do here\n');
        return;
      }
      if (report.daysAhead < 0) {
        throw new OutboxError(
          'OUTBOX_PARTITION_MISSING',
          'the pass is over, and there is still no partition for today',
          {
            hint: 'Another session held a lock, or made nothing in its place: run it again, and look who holds locks on outbox.events.',
          },
        );
      }
      for (const { name, why } of report.waiting) out.warn(`${name} stays for now: ${why}`);
      out.result({ skipped: false, report }, () => `${describeReport(report)}\n`);
    },
    { patient: out },
  );
}

interface Standing {
  readonly schedule: ScheduleStanding | null | 'unreachable';
  readonly latest: Awaited<ReturnType<typeof readLatestPass<HousekeepingReport>>>;
  readonly pastRetention: readonly AgedPartition[];
  readonly retention: Readonly<Record<string, number>>;
}

/** `housekeeping show` */
export async function showHousekeeping(out: Output): Promise<void> {
  await withDatabase(async (pool) => {
    const { name } = await readSettings(pool);
    const retention = await readRetention(pool);
    const standing: Standing = {
      schedule: await scheduleOf(out, name),
      latest: await readLatestPass<HousekeepingReport>(pool),
      pastRetention: await partitionsPastRetention(pool),
      retention: Object.fromEntries(retention.map(({ what, keepMs }) => [`${what}Ms`, keepMs])),
    };
    out.result(standing, (colours) => standingText(standing, colours));
  });
}

async function scheduleOf(out: Output, name: string | null): Promise<Standing['schedule']> {
  try {
    const temporal = await connectForCommand(out);
    try {
      return await describeHousekeepingSchedule(temporal, name);
    } finally {
      await temporal.close();
    }
  } catch {
    return 'unreachable';
  }
}

function standingText({ schedule, latest, pastRetention, retention }: Standing, colours: Colours): string {
  const keep = Object.entries(retention).map(([what, ms]): [string, string] => [
    what.replace(/Ms$/, ''),
    ms === 0 ? 'not kept' : describeDuration(ms),
  ]);
  const days = table(
    [
      { title: 'DAY', value: ({ name }: AgedPartition) => name },
      { title: 'STATE', value: ({ state }: AgedPartition) => state },
      { title: 'SIZE', align: 'right' as const, value: ({ bytes }: AgedPartition) => megabytes(bytes) },
    ],
    pastRetention,
    colours,
  );
  return [
    `${colours.bold('housekeeping')}\n${facts(
      [
        ['schedule', scheduleText(schedule, colours)],
        ['latest pass', latestText(latest)],
      ],
      colours,
    )}`,
    `${colours.bold('kept for')}\n${facts(keep, colours)}`,
    pastRetention.length === 0 ? '' : `${colours.bold('past retention')}\n${days}`,
  ]
    .filter(Boolean)
    .join('\n');
}

function scheduleText(schedule: Standing['schedule'], { yellow }: Colours): string {
  if (schedule === 'unreachable') return yellow('Temporal cannot be reached');
  if (schedule === null) return yellow('none; run and worker make it');
  if (schedule.paused)
    return yellow(`paused in Temporal${schedule.note === null ? '' : ` (${printable(schedule.note)})`}`);
  return schedule.nextAt === null ? yellow('has no next time') : `next ${shortTime(schedule.nextAt)} UTC`;
}

function latestText({ startedAt, finishedAt, step, report }: Standing['latest']): string {
  if (startedAt === null) return 'none yet';
  if (finishedAt === null) return `begun ${shortTime(startedAt)} UTC, not over: ${step ?? ''}`;
  return `${shortTime(finishedAt)} UTC: ${report === null ? '' : describeReport(report)}`;
}

function describeReport({ made, dropped, waiting, kept, deleted, durationMs }: HousekeepingReport): string {
  const bytes = dropped.reduce((sum, day) => sum + day.bytes, 0);
  const rows = Object.values(deleted).reduce((sum, count) => sum + count, 0);
  const held = waiting.length === 0 ? '' : `, ${waiting.length} days wait for a lock`;
  const news = made === undefined || made === 0 ? '' : `${made} partitions made, `;
  return `${news}${dropped.length} days dropped (${megabytes(bytes)}), ${kept} unsettled rows kept, ${rows} old rows deleted${held}, in ${durationMs} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
