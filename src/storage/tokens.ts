/** Tokens that people and programs sign in with at the dashboard. The database has their digests alone. */
import { firstOf, rowsOf, type Queryable } from './connect.ts';
import { iso } from './isoColumn.ts';
import type { Role } from '../core/dashboard.ts';

export interface StoredToken {
  readonly id: number;
  /** Whose it is; stands in the audit. */
  readonly name: string;
  readonly role: Role;
  /** Whether payloads may be looked at. */
  readonly payloads: boolean;
  readonly madeAt: string;
  readonly madeBy: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly revokedBy: string | null;
}

const columns = `id::float8 as id, name, role, payloads, ${iso('made_at')} as "madeAt", made_by as "madeBy",
  ${iso('expires_at')} as "expiresAt", ${iso('revoked_at')} as "revokedAt", revoked_by as "revokedBy"`;

export interface NewToken {
  readonly name: string;
  /** SHA-256 of the token. */
  readonly digest: Uint8Array;
  readonly role: Role;
  readonly payloads: boolean;
  readonly expiresAt: Date | null;
  readonly actor: string;
}

/** Answers its number. */
export async function makeToken(
  db: Queryable,
  { name, digest, role, payloads, expiresAt, actor }: NewToken,
): Promise<number> {
  const row = await firstOf<{ id: number }>(
    db,
    'select outbox.make_token($1, $2, $3, $4, $5, $6)::float8 as id',
    [name, digest, role, payloads, expiresAt, actor],
  );
  return row?.id ?? 0;
}

/** False where there is none of that number, or it was revoked before. */
export async function revokeToken(db: Queryable, id: number, actor: string): Promise<boolean> {
  const row = await firstOf<{ revoked: boolean }>(db, 'select outbox.revoke_token($1, $2) as revoked', [
    id,
    actor,
  ]);
  return row?.revoked ?? false;
}

/** The latest first. */
export async function listTokens(db: Queryable, limit: number): Promise<StoredToken[]> {
  return rowsOf<StoredToken>(db, `select ${columns} from outbox.tokens order by id desc limit $1`, [limit]);
}

/** Undefined where there is none, or it is revoked or out of date. */
export async function findToken(db: Queryable, digest: Uint8Array): Promise<StoredToken | undefined> {
  return firstOf<StoredToken>(
    db,
    `select ${columns} from outbox.tokens where digest = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
    [digest],
  );
}
