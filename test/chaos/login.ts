/** Our processes log in with the rights of a relay, not as a superuser, so that limits can be set on them alone. */
import type { Pool } from '../../src/storage/connect.ts';

export const ourLogin = 'chaos_ours';
const password = 'ours';

export async function createOurLogin(outbox: Pool): Promise<void> {
  await outbox.query(`create role ${ourLogin} login password '${password}' in role outbox_relay`);
}

export function asOurLogin(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.username = ourLogin;
  url.password = password;
  return url.href;
}
