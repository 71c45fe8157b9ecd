import { pollersOf } from '../../deadletter/pollers.ts';
import { describeDuration } from '../../core/duration.ts';
import { compareVersions, oldestTemporal } from '../../core/supported.ts';
import { taskQueueName } from '../../core/ids.ts';
import type { Settings } from '../../storage/configuration.ts';
import { adoptTemporal, bindTemporal } from '../../storage/recovery.ts';
import type { Temporal } from '../../temporal/connect.ts';
import { innermostWords } from '../../temporal/grpc.ts';
import { inspectNamespace, readNamespaceRetention } from '../../temporal/namespace.ts';
import { describeHousekeepingSchedule, housekeepingScheduleId } from '../../temporal/schedule.ts';
import { otherNamespace } from '../namespace.ts';
import type { Output } from '../output.ts';
import { connectPatiently, patiently } from '../patience.ts';
import { connectForCommand } from '../temporal.ts';
import { printable } from '../../core/printable.ts';
import { failedBy, ok, warn, type Finding } from './finding.ts';
import { checkOrigin } from './origin.ts';
import { counted } from '../../core/counted.ts';

const visibilityForMs = 5_000;

/** What is to be done, not only looked at. */
export interface Mending {
  readonly adopt: boolean;
  readonly restored: boolean;
}

/** With `adopt` the rows are handed over to the namespace at hand when they belong to another one; with `restored` work goes on in this
 * database, an earlier state of itself. */
export async function checkTemporal(
  out: Output,
  url: string,
  settings: Settings | null,
  { adopt, restored }: Mending,
): Promise<Finding[]> {
  let temporal: Temporal;
  try {
    temporal = await connectForCommand(out);
  } catch (error) {
    return [failedBy('Temporal', error)];
  }
  try {
    const { id, hasSearchAttributes } = await inspectNamespace(temporal);
    const findings = [await judgedServer(temporal)];
    if (settings !== null) {
      const binding = await checkBinding(out, url, settings, id, temporal, adopt);
      findings.push(binding);
      if (binding.level !== 'fail') findings.push(await checkOrigin(url, settings, temporal, restored, out));
    }
    findings.push(
      hasSearchAttributes
        ? ok('search attributes', 'registered')
        : warn(
            'search attributes',
            'not registered; workflow ids serve instead',
            'To register: temporal operator search-attribute create --name OutboxState --type Keyword ' +
              '--name OutboxDestination --type Keyword --name OutboxEventType --type Keyword',
          ),
    );
    findings.push(await checkVisibility(temporal, settings?.name ?? null));
    if (settings !== null) {
      findings.push(await checkWorkers(temporal, settings));
      findings.push(await settled('housekeeping', checkSchedule(temporal, settings)));
    }
    findings.push(await settled('Temporal retention', checkNamespaceRetention(temporal)));
    return findings;
  } catch (error) {
    return [failedBy('Temporal', error)];
  } finally {
    await temporal.close();
  }
}

/** Temporal Cloud, and who keeps it to himself, tells no version that can be compared. */
async function judgedServer(temporal: Temporal): Promise<Finding> {
  const { serverVersion = '' } = await temporal.connection.workflowService
    .getSystemInfo({})
    .catch(() => ({ serverVersion: '' }));
  const found = `namespace ${temporal.namespace} at ${temporal.address}`;
  if (!/^\d+\.\d+/.test(serverVersion)) return ok('Temporal', found);
  const told = `${found}, server ${printable(serverVersion)}`;
  if (compareVersions(serverVersion, oldestTemporal) >= 0) return ok('Temporal', told);
  return warn(
    'Temporal',
    `${told}: older than ${oldestTemporal}, the oldest that was tried`,
    'Upgrade the server. An older one may lack updates, eager starts or schedules as they are used here.',
  );
}

/** What Temporal does not let us look at is worth a warning; nothing of ours fails for it. */
async function settled(check: string, looking: Promise<Finding>): Promise<Finding> {
  return looking.catch((error: unknown) =>
    warn(
      check,
      `Temporal does not let us look: ${innermostWords(error)}`,
      'Ask whoever runs the namespace for the right to read, or for a higher limit.',
    ),
  );
}

/** An extra: nothing that must work waits for it. */
async function checkVisibility(temporal: Temporal, name: string | null): Promise<Finding> {
  const check = 'visibility';
  const query = `TaskQueue = "${taskQueueName(name)}"`;
  try {
    await temporal.client.withDeadline(Date.now() + visibilityForMs, async () => {
      for await (const _first of temporal.client.workflow.list({ query, pageSize: 1 })) break;
    });
    return ok(check, 'Temporal lists workflows');
  } catch (error) {
    return warn(
      check,
      `Temporal lists no workflows: ${innermostWords(error)}`,
      'Events are delivered all the same. Workflows that somebody ended are found by their rows, 50 every 5 s; the lists in the Temporal UI ' +
        'stay empty. Ask whoever runs the namespace about its limits or its visibility store.',
    );
  }
}

async function checkBinding(
  out: Output,
  url: string,
  { temporalNamespaceId }: Settings,
  namespaceId: string,
  temporal: Temporal,
  adopt: boolean,
): Promise<Finding> {
  const check = 'binding';
  if (temporalNamespaceId === namespaceId) return ok(check, 'the database belongs to this namespace');
  if (temporalNamespaceId === null && !adopt) return ok(check, 'not bound yet; the first run binds it');
  if (!adopt) return failedBy(check, otherNamespace(temporal.address));
  const pool = connectPatiently(url, 1);
  try {
    const returned = await patiently(out, url, pool, async () => {
      await bindTemporal(pool, namespaceId);
      return adoptTemporal(pool, namespaceId);
    });
    return ok(check, `adopted by this namespace; back to pending: ${counted(returned, 'delivery')}`);
  } catch (error) {
    return failedBy(check, error);
  } finally {
    await pool.end();
  }
}

async function checkSchedule(temporal: Temporal, { name }: Settings): Promise<Finding> {
  const check = 'housekeeping';
  const schedule = await describeHousekeepingSchedule(temporal, name);
  if (schedule === null) {
    return warn(
      check,
      'its schedule is missing: nothing past retention goes',
      'run and worker make it, at their start and every hour.',
    );
  }
  if (schedule.paused) {
    return warn(
      check,
      `its schedule is paused in Temporal${schedule.note === null ? '' : ` (${printable(schedule.note)})`}: nothing past retention goes`,
      `temporal schedule toggle --unpause --schedule-id ${housekeepingScheduleId(name)}`,
    );
  }
  return ok(check, `scheduled, next at ${schedule.nextAt ?? 'no time'}`);
}

/** For information: nothing of ours relies on it. */
async function checkNamespaceRetention(temporal: Temporal): Promise<Finding> {
  const keptMs = await readNamespaceRetention(temporal);
  const kept = keptMs === null ? 'for a time that is not told' : `for ${describeDuration(keptMs)}`;
  return ok('Temporal retention', `completed workflows are kept ${kept}; open ones, parked too, for good`);
}

async function checkWorkers(temporal: Temporal, { name }: Settings): Promise<Finding> {
  const pollers = await pollersOf(temporal, name);
  const queue = `task queue ${taskQueueName(name)}`;
  if (pollers === null) return ok('workers', 'Temporal does not say who polls');
  if (pollers > 0) return ok('workers', `${queue} is polled`);
  return warn('workers', `nobody polls ${queue}`, 'Start one: temporal-outbox run');
}
