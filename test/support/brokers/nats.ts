/** A real NATS server with JetStream, of the machine's own packages. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { freePort } from '../../../src/embedded/ports.ts';
import { atEnd } from '../cleanup.ts';
import { brokerDirectory, launchBroker, type BrokerProcess } from './process.ts';

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
  /** The server's certificate, the authority it asks clients' certificates of, and what the look is to show. */
  readonly tls?: {
    readonly server: { readonly key: string; readonly cert: string };
    readonly clientCa: string;
    readonly client: { readonly ca: string; readonly cert: string; readonly key: string };
  };
}

/** Stopped when the test (or the file) ends. */
export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const server = await launchNats(options);
  atEnd(server.stop);
  return server;
}

/** The caller stops it. */
export async function launchNats(options: NatsOptions = {}): Promise<TestNats> {
  const directory = await brokerDirectory('nats');
  const port = await freePort();
  const file = join(directory, 'nats.conf');
  const lines = options.tls === undefined ? '' : await tlsLines(directory, options.tls);
  await writeFile(
    file,
    `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: "${directory}" }\n${lines}${options.config ?? ''}\n`,
  );
  const ready = async (): Promise<void> => {
    const connection = await connectTo({ port }, options);
    await (await jetstreamManager(connection)).getAccountInfo();
    await connection.close();
  };
  const process = await launchBroker({
    ...{ directory, port, ready, command: natsProgram()!, args: ['-c', file] },
  });
  return { url: `nats://127.0.0.1:${port}`, port, ...process };
}

async function tlsLines(
  directory: string,
  { server, clientCa }: NonNullable<NatsOptions['tls']>,
): Promise<string> {
  const files = { cert: server.cert, key: server.key, ca: clientCa };
  for (const [name, pem] of Object.entries(files)) await writeFile(join(directory, name), pem);
  return `tls { cert_file: "${directory}/cert", key_file: "${directory}/key", ca_file: "${directory}/ca", verify: true }\n`;
}

export function connectTo(
  { port }: Pick<TestNats, 'port'>,
  { login, tls }: NatsOptions = {},
): Promise<NatsConnection> {
  return connect({
    servers: `127.0.0.1:${port}`,
    reconnect: false,
    ...login,
    ...(tls === undefined ? {} : { tls: tls.client }),
  });
}

export async function addStream(
  server: Pick<TestNats, 'port'>,
  config: Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] },
  options: NatsOptions = {},
): Promise<void> {
  const connection = await connectTo(server, options);
  await (await jetstreamManager(connection)).streams.add(config);
  await connection.close();
}

export interface StoredMessage {
  readonly subject: string;
  readonly body: string;
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** All that a stream holds, in its order, by a client of its own. */
export async function readStream(
  server: Pick<TestNats, 'port'>,
  stream: string,
  options: NatsOptions = {},
): Promise<readonly StoredMessage[]> {
  const connection = await connectTo(server, options);
  const { state } = await (await jetstreamManager(connection)).streams.info(stream);
  const read: StoredMessage[] = [];
  if (state.messages > 0) {
    const consumer = await jetstream(connection).consumers.get(stream);
    for await (const message of await consumer.fetch({ max_messages: state.messages, expires: 10_000 }))
      read.push({
        subject: message.subject,
        body: message.string(),
        bytes: message.data,
        headers: Object.fromEntries(
          [...(message.headers ?? [])].map(([name, values]) => [name, values.join()]),
        ),
      });
  }
  await connection.close();
  return read;
}
