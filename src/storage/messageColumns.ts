/** Loads no driver: producers have one of their own. */

/** ISO 8601 in UTC, as JavaScript prints it. */
export const iso = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A `MessageState` of a row `m`; `id` is the column that has its id. */
export const messageColumns = (id: string): string =>
  `${id} as id, m.producer, m.type, m.state, m.event_id as "eventId", m.checks, m.last_answer as "lastAnswer",
  ${iso('m.prepared_at')} as "preparedAt", ${iso('m.next_check_at')} as "nextCheckAt", ${iso('m.parked_at')} as "parkedAt",
  ${iso('m.settled_at')} as "settledAt", m.settled_by as "settledBy", m.workflow_id as "workflowId"`;
