/** The suite under node:test, with the package as others have it. `node --test suite.mjs` */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { destinationConformance } from 'temporal-outbox/testing';
import type from '../../destinationTypes/fileType/index.mjs';

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-files-'));
  const linesOf = async (file) =>
    (await readFile(join(folder, file), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  let topics = 0;
  return {
    address: null,
    stop: () => rm(folder, { recursive: true }),
    topic: async () => {
      const file = `topic-${topics++}`;
      return {
        settings: () => ({ folder, file }),
        read: async () =>
          (await linesOf(file)).map((line) => {
            const { payload, ...rest } = JSON.parse(line);
            return { body: payload, ...rest };
          }),
      };
    },
  };
}

destinationConformance(
  { describe, test, after },
  { type, start, cannot: { tls: 'a folder is no server' } },
  { only: ['acknowledged', 'repeats', 'blocked', 'tls'] },
);
