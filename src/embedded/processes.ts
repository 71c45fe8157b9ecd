import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Whether a process with that id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Its command and arguments, or '' when it is gone. Slim containers have /proc but no `ps`, macOS the reverse. */
export async function commandLineOf(pid: number): Promise<string> {
  const arguments_ = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => null);
  if (arguments_ !== null) return arguments_.replaceAll('\0', ' ');
  const listed = await execute('ps', ['-ww', '-p', String(pid), '-o', 'command=']).catch(() => null);
  return listed?.stdout ?? '';
}
