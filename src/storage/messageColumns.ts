/** Loads no driver: producers have one of their own. */
import { iso } from './isoColumn.ts';

/** A `MessageState` of a row `m`; `id` is the column that has its id. */
export const messageColumns = (id: string): string =>
  `${id} as id, m.producer, m.type, m.state, m.event_id as "eventId", m.checks, m.last_answer as "lastAnswer",
  ${iso('m.prepared_at')} as "preparedAt", ${iso('m.next_check_at')} as "nextCheckAt", ${iso('m.parked_at')} as "parkedAt",
  ${iso('m.settled_at')} as "settledAt", m.settled_by as "settledBy", m.workflow_id as "workflowId"`;
