import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

export const repository = join(import.meta.dirname, '..', '..');

export interface CodeBlock {
  /** `README.md:12`, for messages. */
  readonly place: string;
  /** `ts`, `sh`, `sql`, `yaml`, …; what follows it on the fence (`ts nocheck`) is in `info`. */
  readonly language: string;
  readonly info: string;
  readonly text: string;
}

export interface Page {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly CodeBlock[];
  /** `like this`, outside of blocks. */
  readonly inlineCode: readonly string[];
}

/** What people read: README.md and docs/. */
export async function readPages(): Promise<Page[]> {
  const docs = (await readdir(join(repository, 'docs'), { recursive: true })).filter((name) =>
    name.endsWith('.md'),
  );
  const paths = ['README.md', ...docs.map((name) => `docs/${name}`)];
  return Promise.all(paths.filter((path) => existsSync(join(repository, path))).map(readPage));
}

async function readPage(path: string): Promise<Page> {
  const text = await readFile(join(repository, path), 'utf8');
  const fence = /^[ ]*```(\w+)([^\n]*)\n([\s\S]*?)^[ ]*```$/gm;
  const blocks = [...text.matchAll(fence)].map((match) => {
    const [, language = '', info = '', body = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    return { place: `${path}:${line}`, language, info: info.trim(), text: body };
  });
  const prose = text.replace(fence, '');
  const inlineCode = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return { path, text, blocks, inlineCode };
}

/** Links to files of this repository that are not there. */
export function brokenLinks({ path, text }: Page): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g), ...text.matchAll(/ src="([^"#]+)"/g)];
  return targets
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .map((target) => relative(repository, join(repository, dirname(path), target)))
    .filter((target) => !existsSync(join(repository, target)))
    .map((target) => `${path} links to ${target}`);
}
