import { accessSync, constants } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OutboxError } from '../errors.ts';
import { environmentWithout, startChild, type ChildExit, type KeptChild, type StopStep } from './children.ts';
import { answers, freePort } from './ports.ts';
import { asStartError, startError } from './startError.ts';

export interface EmbeddedRabbitmq {
  /** `amqp://guest:guest@127.0.0.1:<port>` */
  readonly url: string;
  /** How the server ended, if it did without being asked. */
  readonly exited: Promise<ChildExit>;
  /** Stops the server, waits, and removes its data; any number of calls. */
  stop(): Promise<void>;
}

/** Where packages put it beside PATH. Debian's on PATH is for root and its own user alone; the one behind it is for all. */
const places = ['/usr/lib/rabbitmq/bin', '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'];

/**
 * The machine's own `rabbitmq-server`.
 *
 * @throws OutboxError OUTBOX_SERVER_DOWNLOAD where there is none
 */
export function findRabbitmq(path = process.env['PATH'] ?? '', besides: readonly string[] = places): string {
  const [first = '', ...others] = besides;
  const folders = [first, ...path.split(delimiter), ...others].filter((folder) => folder !== '');
  const found = folders.map((folder) => join(folder, 'rabbitmq-server')).find(isExecutable);
  if (found !== undefined) return found;
  throw new OutboxError(
    'OUTBOX_SERVER_DOWNLOAD',
    `rabbitmq-server is neither on PATH nor in ${besides.join(', ')}.`,
    {
      hint: 'Install it (Debian and Ubuntu: apt install rabbitmq-server; macOS: brew install rabbitmq), or leave --queue out.',
    },
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const startMsMax = 90_000;
/** Nothing in it is worth an orderly end. */
const quickStop: readonly StopStep[] = [{ signal: 'SIGKILL', afterMs: 0 }];

/**
 * A real RabbitMQ on 127.0.0.1, of the machine's own packages, with a temporary directory. It ends when this process ends, however
 * that happens.
 *
 * @throws OutboxError OUTBOX_SERVER_DOWNLOAD where it is not installed, OUTBOX_SERVER_START where it does not start
 */
export async function startRabbitmq(onProgress: (line: string) => void): Promise<EmbeddedRabbitmq> {
  const command = findRabbitmq();
  onProgress('starting RabbitMQ');
  try {
    return await launch(command);
  } catch (error) {
    throw asStartError('RabbitMQ', error);
  }
}

async function launch(command: string): Promise<EmbeddedRabbitmq> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-rabbitmq-'));
  const [port, distribution, mapper] = [await freePort(), await freePort(), await freePort()];
  const env = {
    ...environmentWithout(['RABBITMQ_', 'ERL_']),
    HOME: directory,
    RABBITMQ_NODENAME: `outbox-${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(directory, 'data'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_CONFIG_FILE: join(directory, 'none.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'no-plugins'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(mapper),
    // Its script then becomes the server, rather than a shell around it that a SIGKILL would end alone.
    RABBITMQ_ALLOW_INPUT: 'true',
  };
  const child = { cwd: directory, env, user: null, stopSteps: quickStop };
  // Erlang's name server, which otherwise makes itself a daemon and stays. Where it is not on PATH, that is what happens.
  const names = await startChild({ ...child, command: 'epmd', args: [], remove: [] }).catch(() => undefined);
  const server = await startChild({ ...child, command, args: ['-noinput'], remove: [directory] }).catch(
    async (error: unknown) => {
      await names?.stop();
      throw error;
    },
  );
  const stop = async (): Promise<void> => {
    await server.stop();
    await names?.stop();
  };
  try {
    await untilItListens(server, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `amqp://guest:guest@127.0.0.1:${port}`, exited: server.exited, stop };
}

async function untilItListens(server: KeptChild, port: number): Promise<void> {
  for (const deadline = Date.now() + startMsMax; !(await answers(port)); await sleep(100)) {
    if (server.exit() !== null) throw startError('RabbitMQ did not start', server.lastLines());
    if (Date.now() > deadline)
      throw startError(`RabbitMQ took no connection in ${startMsMax / 1000} s`, server.lastLines());
  }
}
