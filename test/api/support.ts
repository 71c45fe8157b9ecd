import type { ApiConfig } from '../../src/core/api.ts';
import { apiGroup } from '../../src/http/api.ts';
import { startHttp } from '../../src/http/server.ts';
import { atEnd, quietLog, type TestDatabase } from '../support/index.ts';

export const token = 'a-token-of-this-test';

/** The API over this database, on a free port; its address. */
export async function startApi(
  { pool }: Pick<TestDatabase, 'pool'>,
  config: Partial<ApiConfig> = { tokens: ['env:TOKEN'] },
): Promise<string> {
  const served = await startHttp([
    apiGroup({
      pool,
      config: { listen: { host: '127.0.0.1', port: 0 }, tokens: [], ...config },
      env: { TOKEN: token },
      log: quietLog().log,
      health: true,
    }),
  ]);
  atEnd(() => served.close());
  return served.endpoints['api'] ?? '';
}

export interface Answered {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export async function ask(
  url: string,
  init: RequestInit & { readonly headers?: Record<string, string> } = {},
): Promise<Answered> {
  const response = await fetch(url, {
    ...init,
    headers: { authorization: `Bearer ${token}`, ...(init.body === undefined ? {} : json), ...init.headers },
  });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const body = /json/.test(type) ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, type, text, body };
}

const json = { 'content-type': 'application/json' };
