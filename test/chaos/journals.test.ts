/** What receivers and producers note survives their end, whenever that is, and comes into the history once and in order. */
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { atEnd, eventually } from '../support/index.ts';
import { all, openHistory } from './history.ts';
import { followJournals } from './journals.ts';
import { keepProcess, steadyPort } from './processes.ts';

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-journals-'));
  atEnd(() => rm(directory, { recursive: true }));
  return directory;
}

test('a receiver that is killed has noted what it acknowledged, and its next process goes on', async () => {
  const directory = await temporaryDirectory();
  const history = openHistory(join(directory, 'history.jsonl'));
  const journal = join(directory, 'billing.jsonl');
  const port = await steadyPort();
  const env = { NAME: 'picky', PORT: String(port), SEED: '1', JOURNAL: journal };
  const args = [new URL('./actors/receiver.mjs', import.meta.url).pathname];
  const receiver = keepProcess({ name: 'picky', args, env: () => env, log: join(directory, 'log') }, history);
  const send = (id: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: { 'webhook-id': id, 'idempotency-key': `"picky/${id}"`, 'outbox-attempt': '2' },
    });

  await eventually(async () => expect((await send('a:r2')).status).toBe(204));
  await receiver.restart('SIGKILL', 0);
  // As if the kill had come in the middle of a line.
  appendFileSync(journal, '{"at":1,"what":"request","dest');
  await receiver.restart('SIGKILL', 0);
  await eventually(async () => expect((await send('b')).status).toBe(204));

  const journals = followJournals([journal], history);
  await eventually(() => expect(history.arrived('picky', 'b')).toBe(true));
  appendFileSync(journal, '{"at":2,"what":"request",');
  appendFileSync(
    journal,
    '"destination":"picky","event":"c","id":"c","key":"picky/c","attempt":1,"status":422}\n',
  );
  await journals.stop();
  expect(
    all(history.entries, 'request').map(({ event, id, key, status }) => [event, id, key, status]),
  ).toEqual([
    ['a', 'a:r2', 'picky/a:r2', 204],
    ['b', 'b', 'picky/b', 204],
    ['c', 'c', 'picky/c', 422],
  ]);
  expect(history.arrived('picky', 'c')).toBe(false);
  expect(all(history.entries, 'ended')).toEqual([]);
  await receiver.stop();
  await history.close();
});

test('a process that ends by itself is noted, and started again', async () => {
  const directory = await temporaryDirectory();
  const history = openHistory(join(directory, 'history.jsonl'));
  const args = ['--eval', 'if (process.env.N === "0") process.exit(7); setInterval(() => undefined, 1000)'];
  const env = (incarnation: number) => ({ N: String(incarnation) });
  const kept = keepProcess({ name: 'frail', args, env, log: join(directory, 'log') }, history);
  await eventually(() =>
    expect(all(history.entries, 'ended')).toMatchObject([{ process: 'frail', code: 7, signal: null }]),
  );
  await eventually(() => expect(kept.pid()).toBeTypeOf('number'));
  await kept.stop();
  expect(all(history.entries, 'ended')).toHaveLength(1);
  await history.close();
});
