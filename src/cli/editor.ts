import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseUsage } from './failure.ts';

/** How an edit ended. `discard` removes the file; until then it is kept, so that no work is lost. */
export interface Edited {
  readonly path: string;
  readonly text: string;
  readonly discard: () => Promise<void>;
}

/**
 * Opens a text in $VISUAL, else $EDITOR, else vi, and answers what it was when the editor ended.
 * @throws OutboxError OUTBOX_USAGE when the editor does not start or ends with an error; nothing is kept then
 */
export async function editText(text: string, fileName: string): Promise<Edited> {
  const folder = await mkdtemp(join(tmpdir(), 'temporal-outbox-edit-'));
  const path = join(folder, fileName);
  const discard = (): Promise<void> => rm(folder, { recursive: true, force: true });
  await writeFile(path, text, { mode: 0o600 });
  const editor = process.env['VISUAL'] || process.env['EDITOR'] || 'vi';
  const code = await endOf(editor, path);
  if (code !== 0) {
    await discard();
    refuseUsage(
      `the editor ${editor} ended with ${code}; nothing was done`,
      'Set EDITOR, or give --payload or --file.',
    );
  }
  return { path, text: await readFile(path, 'utf8'), discard };
}

/** By the shell, as git does it: `code --wait` is a command with an option. */
function endOf(editor: string, path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit' });
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'no code'));
  });
}
