/** Whether the database is as we made it: what it lets pass in silence otherwise. */
import type { Pool, Queryable } from '../../storage/connect.ts';
import { findMissedEvents } from '../../storage/missedEvents.ts';
import { sequencesBehind } from '../../storage/sequences.ts';
import { printable } from '../../core/printable.ts';
import { readRoutingTrigger, rowSecurityHint, tablesUnderRowSecurity } from '../../storage/structure.ts';
import { fail, firstThree, ok, warn, type Finding } from './finding.ts';
import { counted } from '../../core/counted.ts';

export async function checkSequences(db: Queryable): Promise<Finding> {
  const check = 'sequences';
  const behind = await sequencesBehind(db);
  if (behind.length === 0) return ok(check, 'none is behind its table');
  const named = behind.map(
    ({ sequence, last, largest }) => `${sequence} gave ${last} last, ${largest} is taken`,
  );
  return fail(
    check,
    `behind their tables, as after a cut-over by logical replication: ${firstThree(named)}`,
    'temporal-outbox run sets them above when it starts; so does doctor --restored.',
  );
}

/** Without it events are written, and go nowhere. */
export async function checkTrigger(db: Queryable): Promise<Finding> {
  const check = 'trigger';
  const enabled = await readRoutingTrigger(db);
  if (enabled === 'O' || enabled === 'A') return ok(check, 'new events are routed');
  const found =
    enabled === null
      ? 'route_new_events is missing: new events are not routed'
      : enabled === 'R'
        ? 'route_new_events fires for replicated rows alone: events that producers write are not routed'
        : 'route_new_events is disabled: new events are not routed';
  const hint =
    enabled === null
      ? 'Create it again as in the migration 0003-routing.sql of the package, as the owner; then temporal-outbox routes route-missed.'
      : 'alter table outbox.events enable trigger route_new_events; then temporal-outbox routes route-missed.';
  return fail(check, found, hint);
}

const lookForMs = 10_000;

export async function checkMissed(db: Pool): Promise<Finding> {
  const check = 'missed events';
  const { events, byType, since, complete } = await findMissedEvents(db, lookForMs);
  if (since === null)
    return ok(
      check,
      'not known: with retention.delivered 0 nothing tells a missed event from a delivered one',
    );
  const looked = complete
    ? `since ${since}`
    : `since ${since}, all that could be looked at in ${lookForMs / 1000} s`;
  if (events === 0) return ok(check, `none ${looked}`);
  const types = byType.map(({ type, events: count }) => `${printable(type)} (${count})`);
  return warn(
    check,
    `${counted(events, 'event')} written past the trigger and routed nowhere: ${firstThree(types)}; ${looked}`,
    'temporal-outbox routes route-missed routes them. session_replication_role = replica, a disabled trigger or a restore does this.',
  );
}

/** Rows that a policy hides are not there for us: nothing is claimed, and nothing says so. */
export async function checkRowSecurity(db: Queryable): Promise<Finding> {
  const check = 'row security';
  const tables = await tablesUnderRowSecurity(db);
  if (tables.length === 0) return ok(check, 'off for our tables');
  const hidden = tables.filter(({ policies }) => policies === 0);
  const names = (list: typeof tables): string => firstThree(list.map(({ name }) => name));
  return hidden.length > 0
    ? fail(check, `on, with no policy that lets our roles see a row: ${names(hidden)}`, rowSecurityHint)
    : warn(check, `on, and only as good as its policies: ${names(tables)}`, rowSecurityHint);
}
