import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import ts from 'typescript';
import { onTestFinished } from 'vitest';

const repository = join(import.meta.dirname, '..', '..');

/** A folder that is removed when the test ends. Not in anybody's home: as root, PostgreSQL runs as another user. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-embedded-test-'));
  execFileSync('chmod', ['755', folder]);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Takes a port on 127.0.0.1 for the rest of the test. */
export async function occupyPort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(50);
  }
}

/**
 * Runs `program` (the body of a module; `embedded` is src/embedded/index) in a Node process of its own, from
 * JavaScript made here and now, because Node 20 runs no TypeScript. `say(value)` in it arrives in `said`.
 */
export async function runProgram(program: string): Promise<{ child: ChildProcess; said: Promise<unknown> }> {
  // Inside the repository, so that it finds node_modules.
  const folder = join(repository, 'node_modules', '.cache');
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'outbox-embedded-'));
  onTestFinished(() => rm(work, { recursive: true, force: true }));
  for (const source of await sources()) await transpile(source, work);
  await writeFile(join(work, 'package.json'), '{"type":"module"}');
  const header = `import * as embedded from './src/embedded/index.js';\nconst say = (value) => console.log(JSON.stringify(value));\n`;
  await writeFile(join(work, 'program.js'), header + program);
  const child = spawn(process.execPath, [join(work, 'program.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = new Promise<unknown>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line)));
    child.once('close', () => reject(new Error('the program said nothing')));
  });
  return { child, said };
}

async function sources(): Promise<string[]> {
  const names = await readdir(join(repository, 'src', 'embedded'));
  return ['src/errors.ts', 'src/core/printable.ts', ...names.map((name) => `src/embedded/${name}`)];
}

async function transpile(source: string, work: string): Promise<void> {
  const text = await readFile(join(repository, source), 'utf8');
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    rewriteRelativeImportExtensions: true,
  };
  const target = join(work, source.replace(/\.ts$/, '.js'));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, ts.transpileModule(text, { compilerOptions }).outputText);
}
