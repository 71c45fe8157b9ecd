/** A real NATS server with JetStream, of the machine's own packages. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { freePort } from '../../../src/embedded/ports.ts';
import { brokerDirectory, startBroker, type BrokerProcess } from './process.ts';

export interface TestNats extends BrokerProcess {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
}

/** For a `beforeAll`, where no test can be skipped yet; tests ask `requires.program('nats-server')`. */
export function natsProgram(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, 'nats-server')).find((path) => existsSync(path));
}

export interface NatsOptions {
  /** Lines of its configuration besides. */
  readonly config?: string;
  /** For looking whether it is there. Default: no login. */
  readonly login?: { readonly user: string; readonly pass: string };
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

/** Killed, and its data removed, when the test (or the file) ends. */
export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const directory = await brokerDirectory('nats');
  const port = await freePort();
  const file = join(directory, 'nats.conf');
  await writeFile(
    file,
    `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: "${directory}" }\n${options.config ?? ''}\n`,
  );
  const ready = async (): Promise<void> => {
    const connection = await connectTo({ port }, options);
    await (await jetstreamManager(connection)).getAccountInfo();
    await connection.close();
  };
  const process = await startBroker({ command: natsProgram()!, args: ['-c', file], port, ready });
  return { url: `nats://127.0.0.1:${port}`, port, ...process };
}

export function connectTo(
  { port }: Pick<TestNats, 'port'>,
  { login, tls }: NatsOptions = {},
): Promise<NatsConnection> {
  return connect({
    servers: `127.0.0.1:${port}`,
    reconnect: false,
    ...login,
    ...(tls === undefined ? {} : { tls }),
  });
}

export async function addStream(
  server: Pick<TestNats, 'port'>,
  config: Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] },
): Promise<void> {
  const connection = await connectTo(server);
  await (await jetstreamManager(connection)).streams.add(config);
  await connection.close();
}

export interface StoredMessage {
  readonly subject: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** All that a stream holds, in its order, by a client of its own. */
export async function readStream(
  server: Pick<TestNats, 'port'>,
  stream: string,
): Promise<readonly StoredMessage[]> {
  const connection = await connectTo(server);
  const { streams } = await jetstreamManager(connection);
  const { state } = await streams.info(stream);
  const read: StoredMessage[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
    const message = await streams.getMessage(stream, { seq });
    if (message === null) continue;
    read.push({
      subject: message.subject,
      body: message.string(),
      headers: Object.fromEntries([...message.header].map(([name, values]) => [name, values.join()])),
    });
  }
  await connection.close();
  return read;
}
