import { taskQueueName, workflowPrefix } from '../../core/ids.ts';
import { systemUser } from '../../core/systemUser.ts';
import { pollersOf } from '../../deadletter/pollers.ts';
import { OutboxError } from '../../errors.ts';
import { namePattern } from '../../settings/shapes.ts';
import { readSettings, type Settings } from '../../storage/configuration.ts';
import type { Pool } from '../../storage/connect.ts';
import { readOpenWork, renameDatabase, type OpenWork } from '../../storage/renaming.ts';
import { leaveName } from '../../temporal/leaveName.ts';
import type { Temporal } from '../../temporal/connect.ts';
import { withDatabase } from '../database.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { connectForCommand } from '../temporal.ts';

export interface RenameOptions {
  readonly none?: boolean;
  readonly yes?: boolean;
}

/** `config rename`: a database that nothing is open in gets another name, or its first. Nothing that it holds is touched. */
export async function rename(
  out: Output,
  written: string | undefined,
  { none, yes }: RenameOptions,
): Promise<void> {
  if ((written === undefined) === (none !== true))
    refuseUsage('no name', 'Give the new name, or --none for no name.');
  if (written !== undefined && !namePattern.test(written))
    refuseUsage(
      `${JSON.stringify(written)} is no name`,
      'A name is 1 to 63 of a-z, 0-9 and -, beginning with a letter.',
    );
  const to = written ?? null;
  await withDatabase(async (pool) => {
    const settings = await readSettings(pool);
    const { name: from } = settings;
    const said = { from, to, taskQueue: taskQueueName(to) };
    if (from === to)
      return out.result({ ...said, renamed: false }, () => `it is named ${spoken(to)} already\n`);
    refuseWhileOpen(await readOpenWork(pool));
    if (yes !== true)
      return out.result(
        { ...said, renamed: false },
        () => `${whatItDoes(from, to)}Nothing was done; --yes does it.\n`,
      );
    await carryOut(out, pool, settings, to);
    out.result({ ...said, renamed: true }, () => `${whatItDoes(from, to)}Done.\n`);
  });
}

function whatItDoes(from: string | null, to: string | null): string {
  return (
    `the database is named ${spoken(from)}; named ${spoken(to)} its workflow ids begin with ${spoken(workflowPrefix(to) || null)} ` +
    `and its task queue is ${taskQueueName(to)}.\n` +
    `Events, dead letters and history stay as they are. Then write ${to === null ? 'no name' : `name: ${to}`} in outbox.yaml, ` +
    'run migrate, and start run anew.\n'
  );
}

function spoken(name: string | null): string {
  return name ?? '(nothing)';
}

/** Who is bound to a namespace has left a mark there under the old name, which the next of that name would stumble over. */
async function carryOut(
  out: Output,
  pool: Pool,
  { name, databaseId, temporalNamespaceId }: Settings,
  to: string | null,
) {
  const temporal = temporalNamespaceId === null ? null : await connectForCommand(out);
  try {
    if (temporal !== null) await refuseWhilePolled(temporal, name);
    if (!(await renameDatabase(pool, name, to, systemUser()))) {
      refuseWhileOpen(await readOpenWork(pool));
      throw new OutboxError('OUTBOX_COMMAND_REFUSED', 'somebody else has just renamed this database');
    }
    if (temporal !== null) await leaveName(temporal, name, databaseId);
  } finally {
    await temporal?.close();
  }
}

async function refuseWhilePolled(temporal: Temporal, name: string | null): Promise<void> {
  const pollers = await pollersOf(temporal, name);
  if (pollers === 0) return;
  throw new OutboxError(
    'OUTBOX_COMMAND_REFUSED',
    pollers === null
      ? `Temporal does not say whether workers poll ${taskQueueName(name)}`
      : `workers poll ${taskQueueName(name)}, or did in the last two minutes`,
    {
      hint: 'Stop every run, relay and worker of this database first, and wait two minutes. Nothing was changed.',
    },
  );
}

function refuseWhileOpen(work: OpenWork): void {
  const parts = Object.entries(spokenWork).flatMap(([key, what]) => {
    const count = work[key as keyof OpenWork];
    return count === 0 ? [] : [`${count} ${what}`];
  });
  if (parts.length === 0) return;
  throw new OutboxError('OUTBOX_COMMAND_REFUSED', `work is open under this name: ${parts.join(', ')}`, {
    hint:
      'Workflow ids carry the name. Stop every run, relay and worker once nothing is under way, resolve what is parked, and try again. ' +
      'What only waits (pending) is in nobody’s way. Nothing was changed.',
  });
}

const spokenWork: Readonly<Record<keyof OpenWork, string>> = {
  deliveries: 'deliveries claimed, retried or parked',
  messages: 'half messages being asked about',
  redrives: 'redrives',
  replays: 'replays',
  circuits: 'circuits not closed',
  relays: 'relays alive',
};
