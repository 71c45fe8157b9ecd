import { createHash } from 'node:crypto';
import type { ApiConfig } from '../core/api.ts';
import type { DashboardConfig } from '../core/dashboard.ts';
import type { DestinationConfig, EventTypeConfig, OutboxConfig } from '../core/destination.ts';
import { likePattern } from '../core/pattern.ts';
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { explainDatabaseError } from './errors.ts';

export interface Settings {
  readonly databaseId: string;
  readonly name: string | null;
  readonly temporalNamespaceId: string | null;
  readonly configRevision: number;
}

export async function readSettings(db: Queryable): Promise<Settings> {
  const row = await firstOf<Settings>(
    db,
    `select database_id as "databaseId", name, temporal_namespace_id as "temporalNamespaceId",
            config_revision as "configRevision" from outbox.settings`,
  );
  if (row === undefined) throw new Error('outbox.settings has no row');
  return row;
}

export interface AppliedConfig {
  readonly revision: number;
  /** False when the database already holds exactly this. */
  readonly changed: boolean;
  readonly destinations?: number;
  readonly routes?: number;
  /** For each filter, the operator it was taken for: `predicate` or `items`. */
  readonly filterModes?: Readonly<Record<string, 'predicate' | 'items'>>;
}

/**
 * Writes a new revision, all or nothing.
 * @throws OutboxError OUTBOX_CONFIG_INVALID: another name, a filter that PostgreSQL cannot take, or a destination with
 *   unsettled deliveries taken away
 */
export async function applyConfig(
  db: Queryable,
  config: OutboxConfig,
  source: string,
  actor: string,
): Promise<AppliedConfig> {
  const stored = storedForm(config);
  const row = await firstOf<{ applied: AppliedConfig }>(
    db,
    'select outbox.apply_config($1, $2, $3, $4) as applied',
    [stored, source, checksumOf(stored), actor],
  ).catch((error: unknown) => {
    throw explainDatabaseError(error, 'the outbox database');
  });
  if (row === undefined) throw new Error('outbox.apply_config answered no row');
  return row.applied;
}

/** Whether the database holds exactly this configuration. */
export async function isApplied(db: Queryable, config: OutboxConfig): Promise<boolean> {
  const row = await firstOf<{ checksum: string }>(
    db,
    'select c.checksum from outbox.config_revisions c join outbox.settings s on s.config_revision = c.revision',
  );
  return row?.checksum === checksumOf(storedForm(config));
}

/** `metrics.listen` of what is applied; null when it says nothing. */
export async function readMetricsListen(db: Queryable): Promise<string | null> {
  const row = await firstOf<{ listen: string | null }>(
    db,
    `select c.config #>> '{metrics,listen}' as listen
     from outbox.config_revisions c join outbox.settings s on s.config_revision = c.revision`,
  );
  return row?.listen ?? null;
}

/** Event types that the applied configuration names. */
export async function readEventTypes(db: Queryable): Promise<Readonly<Record<string, EventTypeConfig>>> {
  return (await readSection<Readonly<Record<string, EventTypeConfig>>>(db, 'events')) ?? {};
}

/** A section of the applied configuration; null without one. */
export async function readSection<Section>(db: Queryable, name: string): Promise<Section | null> {
  const row = await firstOf<{ section: Section | null }>(
    db,
    `select c.config -> $1::text as section
     from outbox.config_revisions c join outbox.settings s on s.config_revision = c.revision`,
    [name],
  );
  return row?.section ?? null;
}

function storedForm(config: OutboxConfig): string {
  const routes = config.routes.map((route) => ({ ...route, like: likePattern(route.match) }));
  return JSON.stringify({ ...config, routes });
}

function checksumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The section `api` of the configuration; null without one. */
export async function readApiConfig(db: Queryable): Promise<ApiConfig | null> {
  const row = await firstOf<{ api: ApiConfig | null }>(db, `select outbox.api_settings() -> 'api' as api`);
  return row?.api ?? null;
}

/** The section `dashboard` of the configuration; null without one. */
export function readDashboardConfig(db: Queryable): Promise<DashboardConfig | null> {
  return readSection(db, 'dashboard');
}

export interface StoredDestinations {
  readonly revision: number;
  readonly destinations: readonly DestinationConfig[];
  /** Whether outbox.delivered remembers what was acknowledged: `retention.delivered` is not 0. */
  readonly keepDelivered: boolean;
}

export async function readDestinations(db: Queryable): Promise<StoredDestinations> {
  const rows = await rowsOf<{ revision: number; keep: boolean; config: DestinationConfig | null }>(
    db,
    `select s.config_revision as revision, r.keep > interval '0' as keep, d.config
     from outbox.settings s join outbox.retention r on r.what = 'delivered' left join outbox.destinations d on true order by d.name`,
  );
  return {
    revision: rows[0]?.revision ?? 0,
    destinations: rows.flatMap(({ config }) => (config === null ? [] : [config])),
    keepDelivered: rows[0]?.keep ?? true,
  };
}
