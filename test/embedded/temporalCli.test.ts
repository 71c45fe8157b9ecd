import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { test, expect, onTestFinished } from 'vitest';
import { fileFromTarGz, fileFromZip } from '../../src/embedded/archives.ts';
import { findTemporalCli } from '../../src/embedded/temporalCli.ts';
import {
  officialDownload,
  temporalCliVersion,
  type CliSource,
  type Pinned,
} from '../../src/embedded/temporalCliSources.ts';
import { temporaryFolder } from './support.ts';

/** Answers --version as the real one does, which is all that finding it asks of it. */
const fakeCli = (version = temporalCliVersion, server = '1.32.0'): string =>
  `#!/bin/sh\necho "temporal version ${version} (Server ${server}, UI 2.54.1)"\n`;

function source(name: string, content: string): CliSource & { calls: number } {
  return {
    name,
    version: temporalCliVersion,
    calls: 0,
    async fetch({ to }) {
      this.calls += 1;
      await writeFile(to, content.slice(0, content.length / 2));
      await sleep(20);
      await writeFile(to, content, { mode: 0o755 });
      await chmod(to, 0o755);
    },
  };
}

const failing: CliSource = {
  name: 'unreachable host',
  version: temporalCliVersion,
  fetch: async () => {
    throw new Error('no route');
  },
};

const env = { PATH: '' };

async function putCli(folder: string, version?: string, server?: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'temporal'), fakeCli(version, server), { mode: 0o755 });
  return join(folder, 'temporal');
}

test('TEMPORAL_CLI_PATH comes first, then PATH, then what can be fetched', async () => {
  const folder = await temporaryFolder();
  const named = await putCli(join(folder, 'named'));
  const onPath = await putCli(join(folder, 'path'), '0.0.0-DEV');
  const cacheDir = join(folder, 'cache');
  const sources = [failing, source('second', fakeCli())];
  const PATH = join(folder, 'path');
  expect(await findTemporalCli({ cacheDir, sources, env: { PATH, TEMPORAL_CLI_PATH: named } })).toEqual({
    path: named,
    source: 'TEMPORAL_CLI_PATH',
  });
  expect(await findTemporalCli({ cacheDir, sources, env: { PATH } })).toEqual({
    path: onPath,
    source: 'PATH',
  });
  expect((await findTemporalCli({ cacheDir, sources, env })).source).toBe('second');
});

test('one on PATH that is too old, or no Temporal CLI at all, is passed over and named', async () => {
  const folder = await temporaryFolder();
  await putCli(join(folder, 'old'), '1.2.9', '1.26.3');
  const other = await putCli(join(folder, 'other'));
  await writeFile(other, '#!/bin/sh\necho tempo\n');
  const progress: string[] = [];
  const found = await findTemporalCli({
    cacheDir: join(folder, 'cache'),
    sources: [source('fetched', fakeCli())],
    env: { PATH: `${join(folder, 'old')}:${join(folder, 'other')}` },
    onProgress: (line) => progress.push(line),
  });
  expect(found.source).toBe('fetched');
  expect(progress.join('\n')).toMatch(
    /old.temporal has server 1\.26\.3[^]*other.temporal is no Temporal CLI/,
  );
});

test('a TEMPORAL_CLI_PATH that does not work is an error, not a reason to fetch', async () => {
  const wrong = findTemporalCli({ env: { ...env, TEMPORAL_CLI_PATH: '/nowhere/temporal' } });
  await expect(wrong).rejects.toMatchObject({ code: 'OUTBOX_SERVER_DOWNLOAD' });
});

test('a fetched one is executable, cached, and fetched only once', async () => {
  const cacheDir = await temporaryFolder();
  const sources = [source('fetched', fakeCli())];
  const first = await findTemporalCli({ cacheDir, sources, env });
  const second = await findTemporalCli({ cacheDir, sources, env });
  expect(second).toEqual({ path: first.path, source: 'cache' });
  expect(sources[0]?.calls).toBe(1);
});

test('a cached one that was cut short or damaged is fetched again', async () => {
  const cacheDir = await temporaryFolder();
  const sources = [source('fetched', fakeCli())];
  const { path } = await findTemporalCli({ cacheDir, sources, env });
  for (const damage of [
    () => truncate(path, 60),
    () => rm(path),
    () => rm(join(path, '..', 'origin.json')),
  ]) {
    await damage();
    expect((await findTemporalCli({ cacheDir, sources, env })).source).toBe('fetched');
    expect(await readFile(path, 'utf8')).toBe(fakeCli());
  }
  expect(await readdir(cacheDir)).toHaveLength(1);
});

test('processes that fetch at once all get a whole one, and leave one folder', async () => {
  const cacheDir = await temporaryFolder();
  const finds = Array.from({ length: 6 }, () =>
    findTemporalCli({ cacheDir, sources: [source('fetched', fakeCli())], env }),
  );
  const paths = (await Promise.all(finds)).map((found) => found.path);
  expect(new Set(paths).size).toBe(1);
  expect(await readdir(cacheDir)).toHaveLength(1);
});

test('what does not run here, or is another version, is not cached', async () => {
  const cacheDir = await temporaryFolder();
  const sources = [source('broken', '#!/bin/false\n'), source('other', fakeCli('1.8.0')), failing];
  await expect(findTemporalCli({ cacheDir, sources, env })).rejects.toMatchObject({
    code: 'OUTBOX_SERVER_DOWNLOAD',
    message: expect.stringMatching(
      /broken: .*not executable.*other: .*1\.8\.0.*unreachable host: no route/,
    ) as string,
  });
  expect(await readdir(cacheDir)).toEqual([]);
});

test('the official archive is unpacked when its checksum is a published one, and refused otherwise', async () => {
  const archive = tarGz({ LICENSE: 'free', temporal: fakeCli() });
  const sum = createHash('sha256').update(archive).digest('hex');
  const archiveUrl = await serve(archive);
  const find = async (checksums: string): Promise<string> => {
    const sources = [officialDownload({ archive: archiveUrl, checksums })];
    return (await findTemporalCli({ cacheDir: await temporaryFolder(), sources, env })).source;
  };
  expect(await find(await serve(`${sum}  temporal_cli_1.9.1_linux_amd64.tar.gz\n`))).toBe(
    'official download',
  );
  await expect(find(await serve(`${'0'.repeat(64)}  x\n`))).rejects.toThrow('not among the published ones');
});

test('of the release only what is pinned is taken: an archive by its sum, or by a list whose own sum is pinned', async () => {
  const archive = tarGz({ LICENSE: 'free', temporal: fakeCli() });
  const sumOf = (what: Buffer | string): string => createHash('sha256').update(what).digest('hex');
  const list = `${sumOf(archive)}  temporal_cli_1.9.1_windows_arm64.zip\n`;
  const [archiveUrl, listUrl] = [await serve(archive), await serve(list)];
  const find = async (pinned: Pinned, checksums = listUrl): Promise<string> => {
    const sources = [officialDownload({ archive: archiveUrl, checksums, pinned })];
    return (await findTemporalCli({ cacheDir: await temporaryFolder(), sources, env })).source;
  };
  const other = '0'.repeat(64);
  expect(await find({ archives: [sumOf(archive)], list: other }, 'http://127.0.0.1:9/')).toBe(
    'official download',
  );
  expect(await find({ archives: [other], list: sumOf(list) })).toBe('official download');
  // Whoever can put another archive there can put another list there.
  await expect(find({ archives: [other], list: other })).rejects.toThrow('not a pinned one');
  await expect(find({ archives: [other], list: sumOf(list) }, 'http://127.0.0.1:9/')).rejects.toThrow(
    'cannot be had',
  );
});

test('an official host that does not answer is given up after seconds', { timeout: 20_000 }, async () => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address() as { port: number };
  const url = `http://127.0.0.1:${address.port}/`;
  const began = Date.now();
  const sources = [officialDownload({ archive: url, checksums: url }), source('next', fakeCli())];
  expect((await findTemporalCli({ cacheDir: await temporaryFolder(), sources, env })).source).toBe('next');
  expect(Date.now() - began).toBeLessThan(7_000);
});

test('files come out of zip and tar archives whole, and archives cut short are errors', async () => {
  const content = fakeCli().repeat(50);
  const zip = zipOf('x.data/scripts/temporal', Buffer.from(content));
  expect((await fileFromZip(zip, 'temporal'))?.toString()).toBe(content);
  expect(await fileFromZip(zip, 'other')).toBe(null);
  await expect(fileFromZip(zip.subarray(0, zip.length / 2), 'temporal')).rejects.toThrow('not all of it');
  const tar = tarGz({ LICENSE: 'free', temporal: content });
  expect((await fileFromTarGz(tar, 'temporal'))?.toString()).toBe(content);
  expect(await fileFromTarGz(tar, 'other')).toBe(null);
  await expect(fileFromTarGz(tar.subarray(0, tar.length / 2), 'temporal')).rejects.toThrow();
});

async function serve(body: Buffer | string): Promise<string> {
  const server = createServer((_request, response) => void response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address() as { port: number };
  return `http://127.0.0.1:${address.port}/`;
}

function tarGz(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).map(([name, content]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(Buffer.byteLength(content).toString(8).padStart(11, '0'), 124);
    const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
    body.write(content);
    return Buffer.concat([header, body]);
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

function zipOf(name: string, content: Buffer): Buffer {
  const packed = deflateRawSync(content);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(8, 10);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(content.length, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, entry, Buffer.from(name), end]);
}
