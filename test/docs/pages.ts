import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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

/** Links to files of this repository, and to headings in them, that are not there. */
export function brokenLinks({ path, text }: Page): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g), ...text.matchAll(/ src="([^"]+)"/g)];
  return targets
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .filter((target) => !leadsSomewhere(path, target))
    .map((target) => `${path} links to ${target}`);
}

function leadsSomewhere(from: string, link: string): boolean {
  const [file = '', heading] = link.split('#');
  const target = file === '' ? join(repository, from) : join(repository, dirname(from), file);
  if (!existsSync(target)) return false;
  return heading === undefined || headingsOf(readFileSync(target, 'utf8')).includes(heading);
}

/** As GitHub names them: words in small letters with hyphens between, without marks; a second one of that name has -1. */
function headingsOf(text: string): string[] {
  const prose = text.replace(/^[ ]*```[\s\S]*?^[ ]*```$/gm, '');
  const seen = new Map<string, number>();
  return [...prose.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const name = words.replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before === 0 ? name : `${name}-${before}`;
  });
}
