import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  requires,
  startReceiver,
  startRun,
} from '../support/index.ts';

const execute = promisify(execFile);
const secret = `whsec_${Buffer.from('a secret that Python knows as well').toString('base64')}`;

interface Written {
  /** Of each committed event, in the order of its commits: what PostgreSQL prints for its payload. */
  readonly committed: Readonly<Record<string, string>>;
  readonly rolledBack: readonly string[];
}

test('a producer in Python: exactly its committed events arrive, byte for byte, and its own library verifies them', async () => {
  const python = requires.python('psycopg', 'standardwebhooks');
  const script = (name: string) => join(import.meta.dirname, 'python', name);
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations:
      billing:
        type: http
        url: ${receiver.url}
        signing: { scheme: standard-webhooks, secrets: [env:SECRET] }
    routes: [{ match: 'order.*', to: [billing] }]`,
    { SECRET: secret },
  );
  await startRun({ databaseUrl: database.url, env: { SECRET: secret } });

  const { stdout } = await execute(python, [script('produce.py'), database.url]);
  const { committed, rolledBack } = JSON.parse(stdout) as Written;
  expect(Object.keys(committed)).toHaveLength(60);
  expect(rolledBack).toHaveLength(40);
  expect(Object.values(committed).join()).toContain('90071992547409931234567890');

  await eventually(async () =>
    expect(await database.rows('select 1 from outbox.delivered')).toHaveLength(60),
  );
  expect(receiver.requests).toHaveLength(60);
  const received = Object.fromEntries(receiver.requests.map(({ id, body }) => [id, body.toString('utf8')]));
  expect(received).toEqual(committed);

  const requests = receiver.requests.map(({ headers, body }) => ({ headers, body: body.toString('base64') }));
  const checking = execute(python, [script('verify.py'), secret], { maxBuffer: 1 << 24 });
  checking.child.stdin?.end(JSON.stringify(requests));
  expect(JSON.parse((await checking).stdout)).toEqual({ verified: 60, forged: 0 });
}, 90_000);
