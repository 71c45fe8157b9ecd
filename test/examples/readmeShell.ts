/** A README followed in a shell, its blocks as they stand: what it calls by name is ours, and addresses are those of the test. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repository } from '../receiver/process.ts';
import { atEnd } from '../support/cleanup.ts';
import { eventually } from '../support/index.ts';

/** The blocks of a page that are typed into a shell. */
export async function shellBlocks(page: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? '');
}

const cli = join(repository, 'dist', 'src', 'cli', 'main.js');

const patienceMs = 120_000;

/** A shell that a person types into; ended with all that it started, when the test ends. */
export class TypedShell {
  readonly #child: ChildProcess;
  #said = '';
  #blocks = 0;

  constructor(folder: string, env: Readonly<Record<string, string>> = {}) {
    const { PATH = '', HOME = '' } = process.env;
    this.#child = spawn('bash', [], { cwd: folder, detached: true, env: { PATH, HOME, ...env } });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    this.#child.stdin?.on('error', () => undefined);
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    atEnd(async () => {
      process.kill(-this.#child.pid!, 'SIGKILL');
      await ended;
    });
  }

  get said(): string {
    return this.#said;
  }

  /** Without waiting for its end. */
  begin(block: string): void {
    this.#child.stdin?.write(`${block}\n`);
  }

  /** Until it is through; answers what was said meanwhile. */
  async run(block: string, timeout = patienceMs): Promise<string> {
    const from = this.#said.length;
    const mark = `block ${++this.#blocks} is through`;
    this.begin(`${block}\necho; echo '${mark}'`);
    await this.until(mark, timeout);
    return this.#said.slice(from).replace(mark, '');
  }

  until(text: string | RegExp, timeout = patienceMs): Promise<string> {
    return eventually(
      async () => {
        if (this.#child.exitCode !== null)
          throw new Error(`the shell has ended: ${this.#said.slice(-4_000)}`);
        const found =
          typeof text === 'string' ? this.#said.includes(text) && text : text.exec(this.#said)?.[1];
        if (typeof found !== 'string')
          throw new Error(`"${text}" was not said, but:\n${this.#said.slice(-4_000)}`);
        return found;
      },
      { timeout, interval: 100 },
    );
  }
}

/** Where `npx temporal-outbox` is ours. */
export class Shell extends TypedShell {
  /** `functions`: what it is to know besides. */
  constructor(folder: string, env: Readonly<Record<string, string>>, functions = '') {
    super(folder, env);
    this.begin(`npx() { shift; ${process.execPath} ${cli} "$@"; }\n${functions}`);
  }
}
