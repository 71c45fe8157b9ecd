/** A destination type of a user's own, by the suite: nothing of it is in src. */
import { mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DestinationType } from '../../src/destination/type.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const module = join(import.meta.dirname, '../destinationTypes/fileType/index.mjs');
const { default: type } = (await import(module)) as { default: DestinationType };

async function start(): Promise<HarnessServer> {
  const above = await mkdtemp(join(tmpdir(), 'outbox-files-'));
  const [folder, real, file] = [join(above, 'files'), join(above, 'real'), join(above, 'file')];
  const becomes = async (target: string): Promise<void> => {
    const link = join(above, uniqueName('link'));
    await symlink(target, link);
    await rename(link, folder);
  };
  await mkdir(real);
  await writeFile(file, '');
  await becomes(real);
  const topic = (): Topic => {
    const name = uniqueName('lines');
    return { settings: () => ({ folder, file: name }), read: () => linesOf(join(real, name)) };
  };
  return {
    address: null,
    stop: () => rm(above, { recursive: true }),
    topic: async () => topic(),
    // Where the folder was is a file, from one moment to the next: nothing can be written below it.
    outage: async () => {
      await becomes(file);
      return () => becomes(real);
    },
    refused: async () => ({
      settings: () => ({ folder, file: '{type}' }),
      message: { type: '../elsewhere' },
      errorClass: 'invalid-message',
      says: /is no file name/,
    }),
    tooLarge: async () => ({ ...topic(), message: { payload: `"${'x'.repeat(3 * 1024 * 1024)}"` } }),
    missingTopic: async () => {
      const nowhere = join(above, 'nowhere');
      return {
        settings: () => ({ folder: nowhere, file: 'all' }),
        says: /there is no folder/,
        isThere: () =>
          stat(nowhere).then(
            () => true,
            () => false,
          ),
      };
    },
  };
}

async function linesOf(path: string): Promise<Received[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const { id, payload, key, headers } = JSON.parse(line) as Omit<Received, 'body'> & {
      payload: string | { base64: string };
    };
    const body = typeof payload === 'string' ? payload : Buffer.from(payload.base64, 'base64');
    return { id, body, key, headers };
  });
}

const noServer = 'a folder is no server';

conform({
  type,
  start,
  cannot: {
    unroutable: 'a file needs no reader',
    'wrong-topic': 'a folder is of one kind',
    'wrong-credentials': 'there is no login',
    slow: noServer,
    blocked: noServer,
    'killed-in-a-batch': noServer,
    'killed-after-acknowledging': noServer,
    'cut-before-the-confirm': noServer,
    'cut-after-the-confirm': noServer,
    'beyond-the-window': 'every repeat is a line',
    connections: noServer,
    tls: noServer,
    'mutual-tls': noServer,
  },
});
