/** `inbox`: on the consumer's database, which need not have the sender's schema. */
import { ownDestinationTypes } from '../destinationTypes.ts';
import { loadConfig } from '../../config/load.ts';
import { describeDuration } from '../../core/duration.ts';
import { checkInbox, longestRetryMs, maintainInbox, migrateInbox } from '../../inbox/index.ts';
import type { Pool } from '../../storage/connect.ts';
import { printable } from '../../core/printable.ts';
import { describeDatabase } from '../../storage/databaseUrl.ts';
import { databaseUrl, withDatabase } from '../database.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';

export interface InboxOptions {
  readonly databaseUrl?: string;
}

export interface InboxMigrateOptions extends InboxOptions {
  readonly retention?: number;
}

export interface InboxCheckOptions extends InboxOptions {
  readonly config?: string;
  readonly destination?: readonly string[];
  readonly retryFor?: number;
  readonly parkedFor?: number;
  readonly delayedFor?: number;
}

export async function inboxMigrate(out: Output, options: InboxMigrateOptions): Promise<void> {
  const { retention } = options;
  if (retention !== undefined && retention < 3_600_000) refuseUsage('--retention: expected at least 1h');
  await withConsumer(out, options, async (pool) => {
    const report = await migrateInbox(pool, retention === undefined ? {} : { retentionMs: retention });
    const { from, to } = report;
    // Named: with the sender's variables still set, this is the wrong one.
    const where = printable(describeDatabase(databaseUrl()));
    out.result(report, () =>
      from === to
        ? `the inbox in ${where} is at version ${to}, nothing to do\n`
        : `the inbox in ${where} was migrated from version ${from} to ${to}\n`,
    );
  });
}

export async function inboxCheck(out: Output, options: InboxCheckOptions): Promise<void> {
  const retryMs = await retryOf(options);
  const { parkedFor, delayedFor } = options;
  await withConsumer(out, options, async (pool) => {
    const report = await checkInbox(pool, {
      ...(retryMs === undefined ? {} : { retryMs }),
      ...(parkedFor === undefined ? {} : { parkedMs: parkedFor }),
      ...(delayedFor === undefined ? {} : { delayMs: delayedFor }),
    });
    const { retentionMs, neededMs, since, until, overdueWeeks } = report;
    out.result(report, () =>
      [
        `remembers messages for ${describeDuration(retentionMs)}; the sender may send one for ${describeDuration(neededMs)}`,
        `takes messages made since ${since.toISOString()}; partitions are there until ${until.toISOString()}`,
        overdueWeeks > 0 ? `${overdueWeeks} weeks can be dropped: temporal-outbox inbox maintain` : '',
      ]
        .filter(Boolean)
        .map((line) => `${line}\n`)
        .join(''),
    );
  });
}

export async function inboxMaintain(out: Output, options: InboxOptions): Promise<void> {
  await withConsumer(out, options, async (pool) => {
    const report = await maintainInbox(pool);
    const { made, dropped, deleted, since } = report;
    out.result(
      report,
      () =>
        `${made} partitions made, ${dropped.length} dropped, ${deleted} other messages deleted; takes messages made since ${since.toISOString()}\n`,
    );
  });
}

async function retryOf({ config, destination, retryFor }: InboxCheckOptions): Promise<number | undefined> {
  if (config === undefined) {
    if (destination !== undefined) refuseUsage('--destination names one of a --config file');
    return retryFor;
  }
  if (retryFor !== undefined) refuseUsage('give --config or --retry-for, not both');
  const loaded = await loadConfig(config, process.env, {
    missingEnvironment: 'warn',
    destinationTypes: await ownDestinationTypes(),
  });
  const known = loaded.config.destinations.map(({ name }) => name);
  for (const name of destination ?? [])
    if (!known.includes(name)) refuseUsage(`--destination ${name}: ${config} has ${known.join(', ')}`);
  return longestRetryMs(loaded.config, destination);
}

/** The option takes the variable's place, so that a password in it is hidden like one in the other. */
export async function withConsumer(
  out: Output,
  { databaseUrl }: InboxOptions,
  work: (pool: Pool) => Promise<void>,
): Promise<void> {
  if (databaseUrl !== undefined) process.env['OUTBOX_DATABASE_URL'] = databaseUrl;
  await withDatabase(work, { anySchema: true, patient: out });
}
