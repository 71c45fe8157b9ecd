/** type: http, by the suite, against a receiver that is a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { http } from '../../src/destination/http/index.ts';
import { freePort } from '../../src/embedded/ports.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const program = join(import.meta.dirname, 'http', 'receiver.mjs');

async function start(): Promise<HarnessServer> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-receiver-'));
  const file = join(folder, 'received.jsonl');
  const port = await freePort();
  let child: ChildProcess | undefined;
  const restart = async (): Promise<void> => {
    child = spawn(process.execPath, [program, String(port), file], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout!, 'data');
  };
  const kill = async (): Promise<void> => {
    const ended = once(child!, 'exit');
    child!.kill('SIGKILL');
    await ended;
  };
  const at =
    (path: string, more: object = {}) =>
    (address: string) => ({ url: `http://${address}${path}`, ...more });
  const topic = (kind = 'topic'): Topic => {
    const path = `/${kind}/${uniqueName()}`;
    return { settings: at(path), read: () => receivedAt(file, path) };
  };
  await restart();
  return {
    address: `127.0.0.1:${port}`,
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true });
    },
    kill,
    restart,
    topic: async () => topic(),
    block: async () => {
      await writeFile(`${file}.busy`, '');
      return () => rm(`${file}.busy`);
    },
    refused: async () => ({
      ...topic('picky'),
      message: { headers: { 'x-refuse': 'yes' } },
      errorClass: 'http-422',
      says: /answered 422/,
    }),
    tooLarge: async () => ({
      ...topic(),
      message: { payload: `"${'x'.repeat(3 * 1024 * 1024)}"` },
      errorClass: 'http-413',
      says: /answered 413 Payload Too Large/,
    }),
    missingTopic: async () => ({
      settings: at('/nowhere'),
      errorClass: 'http-404',
      says: /answered 404 Not Found/,
      inspected: false,
      isThere: async () => false,
    }),
    wrongCredentials: async () => ({
      settings: at('/private/a', { auth: { bearer: 'env:TOKEN' } }),
      env: () => ({ TOKEN: 'wrong-token' }),
      secret: 'wrong-token',
      errorClass: 'http-401',
      inspected: false,
    }),
  };
}

async function receivedAt(file: string, path: string): Promise<Received[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.includes(JSON.stringify(path)));
  return lines.map((line) => {
    const { headers, body } = JSON.parse(line) as { headers: Record<string, string>; body: string };
    return { id: headers['webhook-id'] ?? '', body: Buffer.from(body, 'base64'), key: null, headers };
  });
}

conform({
  type: http,
  start,
  cannot: {
    unroutable: 'a receiver that answers has the event',
    'wrong-topic': 'an address is of one kind',
    'beyond-the-window': 'receivers recognise repeats by webhook-id, for as long as they like',
    connections:
      'a connection carries one request at a time, so that a destination has as many as are under way',
    'non-ascii-headers':
      'HTTP carries ISO 8859-1 at most: such an event is refused (test/destination/headers.test.ts)',
    tls: 'the authorities are those of Node (test/destination/network.test.ts)',
    'mutual-tls': 'there is no key for a certificate of ours',
  },
});
