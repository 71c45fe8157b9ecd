import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { contractExample, environment } from './fixtures.ts';

let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outbox-config-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

describe('loading a configuration file', () => {
  it('gives the configuration and the source it came from', async () => {
    const path = await write('outbox.yaml', contractExample);
    const { config, warnings, source } = await loadConfig(path, environment);
    expect(config.destinations.map(({ name }) => name)).toEqual(['billing']);
    expect(warnings).toEqual([]);
    expect(source).toEqual({ path, text: contractExample });
  });

  it('names the file in every problem', async () => {
    const path = await write('bad.yaml', contractExample.replace('15s', '15'));
    await expect(loadConfig(path, environment)).rejects.toMatchObject({
      code: 'OUTBOX_CONFIG_INVALID',
      problems: [{ file: path, line: 6, column: 14, key: 'destinations.billing.timeout' }],
    });
  });

  it('says that a file does not exist, or is none', async () => {
    const missing = {
      code: 'OUTBOX_CONFIG_NOT_FOUND',
      message: expect.stringContaining('does not exist') as string,
    };
    await expect(loadConfig(join(directory, 'none.yaml'), {})).rejects.toMatchObject(missing);
    const path = await write('file.yaml', contractExample);
    await expect(loadConfig(join(path, 'none.yaml'), {})).rejects.toMatchObject(missing);
    await expect(loadConfig(directory, {})).rejects.toMatchObject({
      code: 'OUTBOX_CONFIG_NOT_FOUND',
      message: expect.stringContaining('is a directory') as string,
    });
  });

  it.each([
    ['UTF-16', Buffer.from(`\ufeff${contractExample}`, 'utf16le')],
    ['Latin-1', Buffer.from('name: é', 'latin1')],
  ])('refuses %s', async (name, bytes) => {
    const path = await write(name, bytes);
    await expect(loadConfig(path, environment)).rejects.toMatchObject({
      code: 'OUTBOX_CONFIG_INVALID',
      problems: [{ line: 1, message: 'expected UTF-8 text' }],
    });
  });

  it('refuses a file of many megabytes without reading it', async () => {
    const path = await write('large.yaml', Buffer.alloc(32 * 1024 * 1024, '#'));
    await expect(loadConfig(path, environment)).rejects.toMatchObject({
      code: 'OUTBOX_CONFIG_INVALID',
      problems: [{ message: 'expected at most 1048576 bytes' }],
    });
  });
});
