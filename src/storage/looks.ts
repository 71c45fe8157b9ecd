import type { Queryable } from './connect.ts';

export interface Look {
  readonly actor: string;
  /** `payload of dead letter 12` */
  readonly what: string;
  readonly eventId: string | null;
  readonly destination: string | null;
}

/** Writes into the audit that somebody looked at what only some may see. */
export async function noteLook(db: Queryable, { actor, what, eventId, destination }: Look): Promise<void> {
  await db.query('select outbox.note_look($1, $2, $3, $4)', [actor, what, eventId, destination]);
}
