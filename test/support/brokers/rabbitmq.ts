/** A real RabbitMQ, of the machine's own packages, in a directory of its own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../../src/embedded/ports.ts';
import { connect } from 'amqplib';
import { atEnd } from '../cleanup.ts';
import { eventually } from '../eventually.ts';

export interface TestRabbitmq {
  /** `amqp://guest:guest@127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** SIGKILL to the whole server; resolves when it is gone. */
  readonly kill9: () => Promise<void>;
  /** Again, with the same data; resolves when it takes connections. */
  readonly start: () => Promise<void>;
  /**
   * Resolves when queues, exchanges and bindings declared so far are on disk. RabbitMQ answers a declaration before that
   * (Mnesia's log is written behind): killed within the next seconds, it has forgotten them, and what they held.
   */
  readonly syncDefinitions: () => Promise<void>;
}

/** For a `beforeAll`, where no test can be skipped yet; tests ask `requires.program('rabbitmq-server')`. */
export function isInstalled(): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

const program = 'rabbitmq-server';

/** Stopped, and its data removed, when the test (or the file) ends. */
export async function startRabbitmq(): Promise<TestRabbitmq> {
  const server = await launchRabbitmq();
  atEnd(server.stop);
  return server;
}

export interface LaunchedRabbitmq extends TestRabbitmq {
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
  /** `rabbitmqctl`; answers what it printed. */
  readonly control: (...command: readonly string[]) => Promise<string>;
  /** 0 without TLS. */
  readonly tlsPort: number;
}

export interface RabbitmqOptions {
  /** Lines of rabbitmq.conf. */
  readonly settings?: readonly string[];
  /** PEM: a second listener that speaks TLS, and asks clients for a certificate by this authority. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa: string };
}

/** The caller stops it. */
export async function launchRabbitmq({
  settings = [],
  tls,
}: RabbitmqOptions = {}): Promise<LaunchedRabbitmq> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-rabbitmq-'));
  const [port, distribution, mapper] = [await freePort(), await freePort(), await freePort()];
  const user = await rabbitmqUser();
  if (user !== null) await chown(directory, user.uid, user.gid);
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const configuration = join(directory, 'rabbitmq.conf');
  const tlsPort = tls === undefined ? 0 : await freePort();
  const lines = [...settings, ...(tls === undefined ? [] : await tlsSettings(directory, tlsPort, tls))];
  await writeFile(configuration, lines.map((line) => `${line}\n`).join(''));
  const env = {
    PATH: process.env['PATH'],
    HOME: directory,
    RABBITMQ_NODENAME: `outbox-${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(directory, 'data'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_CONFIG_FILE: configuration,
    // The server and rabbitmqctl look for it in different homes.
    RABBITMQ_ERLANG_COOKIE: 'outbox',
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(mapper),
  };
  let child: ChildProcess | undefined;
  const kill9 = async (): Promise<void> => {
    const running = child;
    child = undefined;
    if (running?.pid === undefined || running.exitCode !== null) return;
    const ended = new Promise<void>((resolve) => void running.once('exit', () => resolve()));
    process.kill(-running.pid, 'SIGKILL');
    await ended;
    await nobodyListens(port);
  };
  const begin = (): ChildProcess =>
    spawn(program, [], {
      // A group of its own, under its own user from the start: a script that changes to it would leave the group.
      detached: true,
      ...user,
      stdio: 'ignore',
      env,
    });
  const start = async (): Promise<void> => {
    child = begin();
    await eventually(
      async () => {
        // Somebody else took one of its ports, or its port mapper was not there yet.
        if (child !== undefined && child.exitCode !== null) child = begin();
        const connection = await connect(url);
        connection.on('error', () => undefined);
        await connection.close();
      },
      { timeout: 120_000, interval: 200 },
    );
  };
  const stop = async (): Promise<void> => {
    await kill9();
    // Erlang's name server makes itself a daemon, out of every group.
    await promisify(execFile)('epmd', ['-kill'], {
      env: { ...process.env, ERL_EPMD_PORT: String(mapper) },
    }).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  };
  const control = async (...command: readonly string[]): Promise<string> =>
    (
      await promisify(execFile)('rabbitmqctl', ['--node', env.RABBITMQ_NODENAME, ...command], {
        env,
        ...user,
      })
    ).stdout;
  const syncDefinitions = async (): Promise<void> => {
    await control('eval', 'ok = mnesia:sync_log().');
  };
  await start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url, port, tlsPort, kill9, start, stop, control, syncDefinitions };
}

async function tlsSettings(
  directory: string,
  port: number,
  { key, cert, clientCa }: NonNullable<RabbitmqOptions['tls']>,
): Promise<string[]> {
  const written = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  return [
    `listeners.ssl.default = 127.0.0.1:${port}`,
    `ssl_options.keyfile = ${await written('key.pem', key)}`,
    `ssl_options.certfile = ${await written('cert.pem', cert)}`,
    `ssl_options.cacertfile = ${await written('ca.pem', clientCa)}`,
    'ssl_options.verify = verify_peer',
    'ssl_options.fail_if_no_peer_cert = true',
  ];
}

/** Debian's script changes to this user when root calls it. */
async function rabbitmqUser(): Promise<{ readonly uid: number; readonly gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const id = async (flag: string) => Number((await promisify(execFile)('id', [flag, 'rabbitmq'])).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}

/** Until the port can be listened at again. */
async function nobodyListens(port: number): Promise<void> {
  await eventually(
    () =>
      new Promise<void>((resolve, reject) => {
        const server = createServer();
        server.once('error', reject);
        server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
      }),
    { timeout: 20_000 },
  );
}
