/**
 * Redrives for programs: what the CLI, the dashboard and scripts of yours work with. Reading and previewing need PostgreSQL alone; a start
 * also needs Temporal, where a workflow then keeps its time.
 *
 * Commands act in PostgreSQL, so they work, and are audited with the login of the connection, whether or not a worker runs; the
 * workflow is told afterwards.
 */
import { randomUUID } from 'node:crypto';
import { checkRedrive, type RedriveFilter, type RedriveRequest } from '../core/redrive.ts';
import { redriveWorkflowId, taskQueueName } from '../core/ids.ts';
import type { PacedAction } from '../core/command.ts';
import { OutboxError } from '../errors.ts';
import { readFirstWords, type AuditLine, type FirstWord } from '../storage/audit.ts';
import type { Queryable } from '../storage/connect.ts';
import { mayBeAboutRow } from '../storage/errors.ts';
import {
  commandRedrive,
  freezeRedrive,
  listRedrives,
  membersOf,
  readRedrive,
  readRedriveAudit,
  sampleOf,
  skippedOf,
  type Redrive,
  type RedriveMember,
  type RedriveSample,
  type RedriveState,
} from '../storage/redrives.ts';
import { refusalOf } from '../storage/resolutions.ts';
import type { Temporal } from '../temporal/connect.ts';
import { unreachable } from '../temporal/unreachable.ts';

export type {
  AuditLine,
  FirstWord,
  Redrive,
  RedriveFilter,
  RedriveMember,
  RedriveRequest,
  RedriveSample,
  RedriveState,
};

export interface RedrivesOptions {
  readonly db: Queryable;
  /** The configuration's `name`. */
  readonly name: string | null;
  /** Where its workflows run. Without it only what needs no workflow: `preview`, `status`, `list`, `pause`, `resume`, `cancel`. */
  readonly temporal?: Pick<Temporal, 'client' | 'address'>;
}

/** Who asks, for the audit: a claim; the login of the connection is noted beside it. */
export interface Who {
  readonly actor?: string;
  readonly reason?: string;
  /** Makes a repeat of the same command harmless. */
  readonly commandId?: string;
  /** Said by a program that does what people ask it for: the login of its connection is nobody's word then, where two persons have to say so. */
  readonly onBehalf?: true;
}

export interface RedrivePreview {
  readonly redrive: Redrive;
  /** The first members; of an edit with the payload before and after. */
  readonly sample: readonly RedriveSample[];
}

export interface RedriveStatus {
  readonly redrive: Redrive;
  /** Why members were skipped, the most frequent first. */
  readonly skipped: readonly { readonly why: string; readonly letters: number }[];
  /** Who did what to it, oldest first, the latest fifty; refusals too. */
  readonly audit: readonly AuditLine[];
  /** Whose start waits for a second person to start it, too. */
  readonly waitingForSecond: readonly FirstWord[];
}

export interface Redrives {
  /**
   * Freezes which open dead letters match; sends nothing and takes nothing. What is shown and confirmed is what `start` acts on.
   * @throws OutboxError OUTBOX_REDRIVE_INVALID for a request that cannot be
   */
  preview(request: RedriveRequest, who?: Pick<Who, 'actor'>): Promise<RedrivePreview>;
  /**
   * Starts a previewed one. Repeating it is safe. Where `resolutions.twoPersons` asks for a second person, the first one's start is noted and
   * thrown as OUTBOX_SECOND_PERSON_NEEDED, and the second one's starts it.
   * @throws OutboxError OUTBOX_COMMAND_REFUSED, OUTBOX_RESOLUTION_DENIED, OUTBOX_SECOND_PERSON_NEEDED, OUTBOX_TEMPORAL_UNREACHABLE
   */
  start(id: number, who?: Who): Promise<Redrive>;
  /** @throws OutboxError OUTBOX_NOT_FOUND */
  status(id: number): Promise<RedriveStatus>;
  /** Newest first; default 20. */
  list(limit?: number): Promise<Redrive[]>;
  /** The first members of one as {@link RedrivePreview} has them; default 5, at most 100. */
  sample(id: number, limit?: number): Promise<RedriveSample[]>;
  /** What became of each member, in their order; only those after the given ordinal. */
  members(id: number, after?: number, limit?: number): Promise<RedriveMember[]>;
  /** @throws OutboxError OUTBOX_COMMAND_REFUSED, here and below; the message says why */
  pause(id: number, who?: Who): Promise<Redrive>;
  resume(id: number, who?: Who): Promise<Redrive>;
  /** Also of a preview. */
  cancel(id: number, who?: Who): Promise<Redrive>;
}

const sampleSize = 5;
const linesShown = 50;
const startForMs = 15_000;
const pokeForMs = 5_000;

/** @example await createRedrives({ db: pool, name: 'orders' }).preview({ destination: 'billing', status: 422 }, { actor: 'ada' }) */
export function createRedrives(options: RedrivesOptions): Redrives {
  const { db } = options;
  const command = async (id: number, action: PacedAction, who: Who): Promise<Redrive> => {
    // Also of a repeat that is refused: the word of the first one may not have reached the workflow.
    await carryOut(db, id, action, who).finally(() => poke(options, id));
    return found(db, id);
  };
  return {
    preview: async (request, who = {}) => {
      const id = await freeze(db, request, who.actor ?? null);
      return { redrive: await found(db, id), sample: await sampleOf(db, id, sampleSize) };
    },
    start: async (id, who = {}) => {
      await start(options, id, who);
      return found(db, id);
    },
    status: async (id) => ({
      redrive: await found(db, id),
      skipped: await skippedOf(db, id),
      audit: await readRedriveAudit(db, id, linesShown),
      waitingForSecond: await readFirstWords(db, { redrive: id }),
    }),
    list: (limit = 20) => listRedrives(db, limit),
    sample: (id, limit = sampleSize) => sampleOf(db, id, limit),
    members: (id, after = 0, limit = 1000) => membersOf(db, id, after, limit),
    pause: (id, who = {}) => command(id, 'pause', who),
    resume: (id, who = {}) => command(id, 'resume', who),
    cancel: (id, who = {}) => command(id, 'cancel', who),
  };
}

async function freeze(db: Queryable, request: RedriveRequest, actor: string | null): Promise<number> {
  const checked = checkRedrive(request, Date.now());
  if ('problem' in checked)
    throw new OutboxError('OUTBOX_REDRIVE_INVALID', `this redrive cannot be: ${checked.problem}`);
  try {
    return await freezeRedrive(db, checked, actor);
  } catch (error) {
    if (!mayBeAboutRow(error)) throw error;
    throw new OutboxError('OUTBOX_REDRIVE_INVALID', `this redrive cannot be: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function found(db: Queryable, id: number): Promise<Redrive> {
  const redrive = await readRedrive(db, id);
  if (redrive !== undefined) return redrive;
  throw new OutboxError('OUTBOX_NOT_FOUND', `there is no redrive ${id}`, {
    hint: 'temporal-outbox redrive list',
  });
}

async function carryOut(db: Queryable, id: number, action: PacedAction | 'start', who: Who): Promise<void> {
  await found(db, id);
  const answer = await commandRedrive(
    db,
    id,
    { ...who, action, commandId: who.commandId ?? randomUUID() },
    'sql',
  );
  if (answer.outcome !== 'done') throw refusalOf(answer);
}

/** The letters are taken first: of two that start it only one gets so far. One whose workflow did not start then gets it by another start. */
async function start({ db, name, temporal }: RedrivesOptions, id: number, who: Who): Promise<void> {
  if (temporal === undefined) throw new TypeError('start needs `temporal`');
  const { startedAt, endedAt, workflowId: taken } = await found(db, id);
  const workflowId = redriveWorkflowId(name, id);
  if (startedAt === null || endedAt !== null || taken !== workflowId) await carryOut(db, id, 'start', who);
  const { client, address } = temporal;
  try {
    await client.withDeadline(Date.now() + startForMs, () =>
      client.workflow.start('redrive', {
        workflowId,
        taskQueue: taskQueueName(name),
        args: [{ redrive: id }],
        workflowIdConflictPolicy: 'USE_EXISTING',
        staticSummary: `redrive ${id}`,
      }),
    );
  } catch (error) {
    throw unreachable(address, error);
  }
}

/** Its page shows it sooner. Not told, it learns of it at its next look; a paused one waits for this, a repeat of the command, or housekeeping. */
async function poke({ name, temporal, db }: RedrivesOptions, id: number): Promise<void> {
  if (temporal === undefined) return;
  const { workflowId } = await found(db, id);
  const { client } = temporal;
  await client
    .withDeadline(Date.now() + pokeForMs, () =>
      client.workflow.getHandle(workflowId ?? redriveWorkflowId(name, id)).signal('recheck'),
    )
    .catch(() => undefined);
}
