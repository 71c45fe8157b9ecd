/** Everything the database knows of one event, for people. Times are ISO 8601 in UTC. */
import { base64 } from './base64Column.ts';
import { auditColumns, type AuditLine } from './audit.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';

export interface StoredEvent {
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
  readonly source: string | null;
  readonly subject: string | null;
  readonly contentType: string;
  readonly dedupKey: string | null;
  readonly createdAt: string;
  readonly deliverAt: string | null;
  readonly erasedAt: string | null;
  /** JSON as PostgreSQL prints it; null of bytes. */
  readonly payloadText: string | null;
  /** Null of JSON. */
  readonly payloadBase64: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Its day was dropped, and it was kept because a delivery was unsettled. */
  readonly kept: boolean;
}

/** Undefined when its day was dropped, or it never was. */
export async function readEvent(db: Queryable, id: string): Promise<StoredEvent | undefined> {
  const columns = `id, type, key, source, subject, content_type as "contentType", dedup_key as "dedupKey", ${iso('created_at')} as "createdAt",
    ${iso('deliver_at')} as "deliverAt", ${iso('erased_at')} as "erasedAt", payload::text as "payloadText",
    ${base64('payload_bytes')} as "payloadBase64", headers`;
  return firstOf<StoredEvent>(
    db,
    `select ${columns}, false as kept from outbox.events where id = $1
     union all select ${columns}, true as kept from outbox.events_kept where id = $1 limit 1`,
    [id],
  );
}

export interface DeliveryStanding {
  readonly destination: string;
  /** That of its row, or `delivered`. */
  readonly state: string;
  readonly revision: number;
  /** Null once delivered: only the sum of tries is kept. */
  readonly attempts: number | null;
  readonly tries: number;
  readonly dueAt: string | null;
  readonly deliveredAt: string | null;
  readonly workflowId: string | null;
}

export async function readDeliveries(db: Queryable, eventId: string): Promise<DeliveryStanding[]> {
  return rowsOf<DeliveryStanding>(
    db,
    `select d.destination, d.state, d.revision, d.attempts, d.tries, ${iso('d.due_at')} as "dueAt", null as "deliveredAt",
            b.workflow_id as "workflowId"
     from outbox.deliveries d left join outbox.batches b on b.id = d.batch_id where d.event_id = $1
     union all
     select destination, 'delivered', revision, null, tries, null, ${iso('delivered_at')}, null
     from outbox.delivered where event_id = $1 order by 1`,
    [eventId],
  );
}

export interface StoredRevision {
  readonly destination: string;
  readonly revision: number;
  readonly madeAt: string;
  readonly madeBy: string | null;
  readonly reason: string | null;
  readonly payloadText: string | null;
  readonly payloadBase64: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

export async function readRevisions(db: Queryable, eventId: string): Promise<StoredRevision[]> {
  return rowsOf<StoredRevision>(
    db,
    `select destination, revision, ${iso('made_at')} as "madeAt", made_by as "madeBy", reason, payload::text as "payloadText",
            ${base64('payload_bytes')} as "payloadBase64", headers
     from outbox.revisions where event_id = $1 order by destination, revision`,
    [eventId],
  );
}

export interface EventAuditLine extends AuditLine {
  readonly destination: string | null;
}

/** The latest commands about this event, or to workflows that held its dead letters and named no other; oldest first. */
export async function readEventAudit(
  db: Queryable,
  eventId: string,
  limit: number,
): Promise<EventAuditLine[]> {
  const latest = await rowsOf<EventAuditLine>(
    db,
    `select ${auditColumns}, a.destination
     from outbox.audit a
     where a.event_id = $1
        or a.event_id is null and a.workflow_id in (select workflow_id from outbox.dead_letters where event_id = $1)
     order by a.id desc limit $2`,
    [eventId, limit],
  );
  return latest.reverse();
}
