import { OutboxError } from '../errors.ts';
import type { ParsedCommand } from '../core/command.ts';
import { firstOf, type Queryable } from './rows.ts';

export interface ResolutionAnswer {
  /** `waiting`: said by one person, for another to say it, too. */
  readonly outcome: 'done' | 'refused' | 'waiting';
  readonly message: string;
  /** Deliveries it acted on. */
  readonly events: number;
  /** Of what the configuration does not let be done, or not yet. */
  readonly code?: 'OUTBOX_RESOLUTION_DENIED' | 'OUTBOX_SECOND_PERSON_NEEDED';
  /** Workflows whose rows it acted on in place of those of the one it was sent to, which they had left; they do not know yet. */
  readonly sentOn?: readonly string[];
}

/** What an answer that is not `done` is to a caller that throws it. */
export function refusalOf({ code, message }: Pick<ResolutionAnswer, 'code' | 'message'>): OutboxError {
  if (code === 'OUTBOX_SECOND_PERSON_NEEDED')
    return new OutboxError('OUTBOX_SECOND_PERSON_NEEDED', `not done: ${message}`, {
      hint: 'What waits for whom, and until when: temporal-outbox dlq show, redrive status.',
    });
  return code === 'OUTBOX_RESOLUTION_DENIED'
    ? new OutboxError('OUTBOX_RESOLUTION_DENIED', `outbox.yaml does not allow it: ${message}`)
    : new OutboxError('OUTBOX_COMMAND_REFUSED', message);
}

/** Carries a command out on what the workflow has parked; every outcome leaves a line in outbox.audit. */
export async function resolve(
  db: Queryable,
  workflowId: string,
  command: ParsedCommand,
  via: string,
): Promise<ResolutionAnswer> {
  const row = await firstOf<{ answer: ResolutionAnswer }>(db, 'select outbox.resolve($1, $2, $3) as answer', [
    workflowId,
    JSON.stringify(command),
    via,
  ]);
  if (row === undefined) throw new Error('outbox.resolve answered no row');
  return row.answer;
}

/** Stores an edited text, or edited bytes, under the next revision and answers its number; undefined when there is no such delivery. */
export async function prepareRevision(
  db: Queryable,
  edit: {
    readonly eventId: string;
    readonly destination: string;
    /** JSON text, kept digit for digit; null leaves the payload as it is. */
    readonly payload: string | null;
    /** In place of `payload`; null leaves it as it is, too. */
    readonly payloadBytes?: Uint8Array | null;
    readonly headers: string | null;
    readonly actor: string | null;
    readonly reason: string | null;
  },
): Promise<number | undefined> {
  const row = await firstOf<{ revision: number | null }>(
    db,
    'select outbox.prepare_revision($1, $2, $3, $4, $5, $6, $7) as revision',
    [
      edit.eventId,
      edit.destination,
      edit.payload,
      edit.headers,
      edit.actor,
      edit.reason,
      edit.payloadBytes ?? null,
    ],
  );
  return row?.revision ?? undefined;
}
