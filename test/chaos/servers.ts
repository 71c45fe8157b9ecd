/** PostgreSQL and Temporal of a run: real, on ports and files of their own, to be killed, stopped, wiped and set back. */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres, startTemporal, type EmbeddedPostgres } from '../../src/embedded/index.ts';
import { atEnd } from '../support/index.ts';

/** A server that comes back at its address. */
export interface OurServer {
  /** Ended hard or in order; `whileAway` is done to its files before it comes back with them. */
  restart(how: 'kill' | 'stop', pauseMs: number, whileAway?: () => Promise<void>): Promise<void>;
}

export interface PostgresServer extends OurServer {
  readonly url: string;
  /** Sets all its files aside, as a backup of a server that stands still. `taken`: called before it goes on. */
  copy(taken: () => void): Promise<void>;
  /** Back to the copy. */
  putBack(): Promise<void>;
}

export interface TemporalServer extends OurServer {
  readonly address: string;
  /** Comes back refusing every list of workflows; with false as it was. */
  refuseLists(refused: boolean): Promise<void>;
  /** Its whole store is gone, and it begins anew at the same address. */
  wipe(): Promise<void>;
}

/** `restart` of a server: `startAgain` at the same address, or it throws. The one that runs is stopped at the end. */
function restarting<Server extends Pick<EmbeddedPostgres, 'pid' | 'exited' | 'stop'>>(
  first: Server,
  startAgain: () => Promise<Server>,
): OurServer['restart'] {
  let running = first;
  atEnd(() => running.stop());
  return async (how, pauseMs, whileAway) => {
    if (how === 'kill') process.kill(running.pid, 'SIGKILL');
    else await running.stop();
    await running.exited;
    await whileAway?.();
    await sleep(pauseMs);
    running = await startAgain();
  };
}

export async function postgresServer(dataDir: string): Promise<PostgresServer> {
  // A process that is killed loses nothing that it gave to the operating system: no need to wait for the disk.
  const settings = { fsync: 'off', max_connections: '200' };
  const first = await startPostgres({ dataDir, settings });
  const { port, url } = first;
  const restart = restarting(first, async () => {
    const again = await startPostgres({ dataDir, port, settings });
    if (again.port !== port) throw new Error(`port ${port} was taken by somebody`);
    return again;
  });
  const copied = `${dataDir}.copy`;
  return {
    url,
    restart,
    copy: (taken) =>
      restart('stop', 0, async () => {
        execFileSync('cp', ['-a', dataDir, copied]);
        taken();
      }),
    putBack: () =>
      restart('stop', 0, async () => {
        await rm(dataDir, { recursive: true });
        execFileSync('mv', [copied, dataDir]);
      }),
  };
}

const noLists = { 'frontend.namespaceRPS.visibility': 0, 'frontend.globalNamespaceRPS.visibility': 0 };

export async function temporalServer(dataFile: string): Promise<TemporalServer> {
  const options = {
    dataFile,
    headless: true,
    searchAttributes: { OutboxState: 'Keyword', OutboxDestination: 'Keyword', OutboxEventType: 'Keyword' },
  } as const;
  const first = await startTemporal(options);
  const { address } = first;
  const port = Number(address.split(':')[1]);
  let listsRefused = false;
  const restart = restarting(first, async () => {
    // Its file has the attributes; to see whether they can be used yet would be to ask for a list.
    const how = listsRefused ? { searchAttributes: {}, dynamicConfig: noLists } : {};
    const start = () => startTemporal({ ...options, port, ...how });
    // One start in some hundreds never takes a call; the next one with the same file does.
    const again = await start().catch((error: unknown) => {
      console.warn(`chaos: Temporal is started once more: ${String(error)}`);
      return start();
    });
    if (again.address !== address) throw new Error(`${address} was taken by somebody`);
    return again;
  });
  return {
    address,
    restart,
    refuseLists: (refused) => {
      listsRefused = refused;
      return restart('stop', 0);
    },
    wipe: () =>
      restart('kill', 0, async () => {
        for (const suffix of ['', '-wal', '-shm']) await rm(`${dataFile}${suffix}`, { force: true });
      }),
  };
}
