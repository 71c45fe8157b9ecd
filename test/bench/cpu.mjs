import { readdirSync, readFileSync } from 'node:fs';

const msPerTick = 10;

/**
 * Milliseconds of CPU that a process, all below it, and those below it that have ended, have used so far. It says what a load
 * costs even where other processes share the machine. Linux only, read from /proc; elsewhere NaN.
 */
export function cpuMsOf(pid) {
  if (process.platform !== 'linux') return Number.NaN;
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(readStat);
  const tree = new Set([pid]);
  for (let before = 0; before < tree.size;) {
    before = tree.size;
    for (const { pid: child, parent } of processes) if (tree.has(parent)) tree.add(child);
  }
  return (
    processes.filter(({ pid: each }) => tree.has(each)).reduce((sum, { ticks }) => sum + ticks, 0) * msPerTick
  );
}

/** `pid (name) state ppid …`; the name may hold anything. A process may end while it is looked at. */
function readStat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // utime, stime, and those of the children it has waited for.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return [{ pid: Number(pid), parent: Number(fields[1]), ticks }];
  } catch {
    return [];
  }
}

/** The most memory that a process has had resident so far, MiB. Linux only; elsewhere NaN. */
export function peakMbOf(pid) {
  if (process.platform !== 'linux') return Number.NaN;
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
