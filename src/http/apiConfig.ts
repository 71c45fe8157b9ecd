import type { ApiConfig } from '../core/api.ts';
import type { ListenAddress } from '../core/listen.ts';
import { readVariable, type Environment } from '../core/secrets.ts';
import { readApiConfig } from '../storage/configuration.ts';
import type { Queryable } from '../storage/connect.ts';

/**
 * The API as `run` serves it: at `listen`, which stands in place of the configuration's address; null for nowhere, and null when
 * nobody asked for an API.
 */
export async function configuredApi(
  db: Queryable,
  listen: ListenAddress | null | undefined,
  env: Environment,
): Promise<ApiConfig | null> {
  if (listen === null) return null;
  const configured = await readApiConfig(db);
  if (listen === undefined && configured === null) return null;
  return apiAt(configured, listen, env);
}

const defaultListen = { host: '127.0.0.1', port: 8080 };

/** Tokens are the configuration's; without any, OUTBOX_API_TOKEN where it is set. */
export function apiAt(
  configured: ApiConfig | null,
  listen: ListenAddress | undefined,
  env: Environment,
): ApiConfig {
  const tokens = configured?.tokens ?? [];
  const isSet = readVariable(env, 'OUTBOX_API_TOKEN') !== undefined;
  return {
    listen: listen ?? configured?.listen ?? defaultListen,
    tokens: tokens.length > 0 || !isSet ? tokens : ['env:OUTBOX_API_TOKEN'],
  };
}
