/** What the database knows of encrypted payloads: which keys there are to be, and which are used. */
import type { EncryptionConfig } from '../core/destination.ts';
import { encryptedType } from '../encryption/envelope.ts';
import { readSection } from './configuration.ts';
import { rowsOf, type Queryable } from './connect.ts';

/** The section `encryption` of the configuration; null without one. */
export function readEncryption(db: Queryable): Promise<EncryptionConfig | null> {
  return readSection(db, 'encryption');
}

/** By key id, how many payloads that are still to be sent or are parked use it. */
export async function readKeysInUse(
  db: Queryable,
): Promise<readonly { readonly kid: string; readonly events: number }[]> {
  return rowsOf(
    db,
    `select u.kid, count(*)::float8 as events from (
       select coalesce(r.payload, e.payload) ->> 'kid' as kid
       from outbox.deliveries d join outbox.events e on e.id = d.event_id
       left join outbox.revisions r on r.event_id = d.event_id and r.destination = d.destination and r.revision = d.revision
       where e.content_type = $1
       union all
       select payload ->> 'kid' from outbox.prepared_messages where content_type = $1 and payload is not null
     ) u where u.kid is not null group by u.kid order by u.kid`,
    [encryptedType],
  );
}
