/** `tokens make|list|revoke`: what people and programs sign in with at the dashboard. */
import { createHash, randomBytes } from 'node:crypto';
import type { Role } from '../core/dashboard.ts';
import { printable } from '../core/printable.ts';
import { systemUser } from '../core/systemUser.ts';
import { OutboxError } from '../errors.ts';
import { listTokens, makeToken, revokeToken, type StoredToken } from '../storage/tokens.ts';
import { withDatabase } from './database.ts';
import type { Output } from './output.ts';
import { shortTime } from './spokenTime.ts';
import { table } from './table.ts';

export interface MakeTokenOptions {
  readonly role: Role;
  readonly payloads?: boolean;
  /** Milliseconds from now. */
  readonly expires?: number;
}

/** Shown once: the database has its digest alone. */
export async function make(out: Output, name: string, options: MakeTokenOptions): Promise<void> {
  const token = `obx_${randomBytes(24).toString('base64url')}`;
  const expiresAt = options.expires === undefined ? null : new Date(Date.now() + options.expires);
  const id = await withDatabase((pool) =>
    makeToken(pool, {
      ...{ name, role: options.role, payloads: options.payloads === true, expiresAt },
      digest: createHash('sha256').update(token).digest(),
      actor: systemUser(),
    }),
  );
  const value = { id, name, token, role: options.role, payloads: options.payloads === true, expiresAt };
  out.result(
    value,
    (colours) => `${colours.green('made')} token ${id} of ${printable(name)}, shown this once:\n${token}\n`,
  );
}

export async function list(out: Output): Promise<void> {
  const items = await withDatabase((pool) => listTokens(pool, 1000));
  out.result({ items }, (colours) => (items.length === 0 ? 'no tokens\n' : table(columns, items, colours)));
}

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ id }: StoredToken) => String(id) },
  { title: 'NAME', value: ({ name }: StoredToken) => printable(name) },
  { title: 'ROLE', value: ({ role, payloads }: StoredToken) => (payloads ? `${role}, payloads` : role) },
  {
    title: 'MADE (UTC)',
    value: ({ madeAt, madeBy }: StoredToken) => `${shortTime(madeAt)} by ${printable(madeBy)}`,
  },
  {
    title: 'UNTIL (UTC)',
    value: ({ expiresAt, revokedAt, revokedBy }: StoredToken) =>
      revokedAt !== null
        ? `revoked ${shortTime(revokedAt)} by ${printable(revokedBy ?? 'somebody')}`
        : expiresAt === null
          ? 'it is revoked'
          : shortTime(expiresAt),
  },
];

export async function revoke(out: Output, id: number): Promise<void> {
  const revoked = await withDatabase((pool) => revokeToken(pool, id, systemUser()));
  if (!revoked) {
    throw new OutboxError('OUTBOX_NOT_FOUND', `there is no token ${id}, or it was revoked before`, {
      hint: 'temporal-outbox tokens list',
    });
  }
  out.result({ id, revoked }, (colours) => `${colours.green('revoked')} token ${id}\n`);
}
