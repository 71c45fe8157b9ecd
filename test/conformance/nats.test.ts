/** type: nats, by the suite, against a real server. */
import { DiscardPolicy, jetstreamManager } from '@nats-io/jetstream';
import { nats } from '../../src/destination/nats/index.ts';
import type { HarnessServer, Received, Topic } from '../../src/testing/conformance/index.ts';
import { authority } from '../support/certificate.ts';
import { addStream, connectTo, launchNats, readStream, type TestNats } from '../support/brokers/nats.ts';
import { requires, uniqueName } from '../support/index.ts';
import { conform } from './support.ts';

const largest = 2 * 1024 * 1024;

async function start(): Promise<HarnessServer> {
  const [trusted, unknown] = [authority(), authority()];
  const [ours, theirs] = [trusted.issue(), trusted.issue()];
  const server = await launchNats({ config: `max_payload: ${largest}` });
  const client = { ca: trusted.cert, ...ours };
  const secured = await launchNats({ tls: { server: theirs, clientCa: trusted.cert, client } });
  const guarded = await launchNats({
    config: 'authorization { users: [{ user: outbox, password: "right-pass" }] }',
    login: { user: 'outbox', pass: 'right-pass' },
  });

  const streamOf = async (at: TestNats, config: { readonly duplicate_window?: number } = {}) => {
    const stream = uniqueName('S').replaceAll(/[^A-Za-z0-9]/g, '');
    const options = at === secured ? { tls: { server: theirs, clientCa: trusted.cert, client } } : {};
    await addStream(at, { name: stream, subjects: [`${stream}.>`], ...config }, options);
    const read = async (): Promise<Received[]> =>
      (await readStream(at, stream, options)).map(({ bytes, headers }) => ({
        id: headers['webhook-id'] ?? '',
        body: bytes,
        key: headers['outbox-key'] ?? null,
        headers,
      }));
    return { stream, read };
  };
  let latest = '';
  const topic = async (): Promise<Topic> => {
    const { stream, read } = await streamOf(server);
    latest = stream;
    return {
      settings: (address) => ({ servers: [`nats://${address}`], subject: `${stream}.x` }),
      read,
    };
  };
  const trust = async (withOurs: boolean) => {
    const { stream, read } = await streamOf(secured);
    const by = (tls: object, ca: string) => ({
      settings: (address: string) => ({ servers: [`tls://${address}`], subject: `${stream}.x`, tls }),
      env: () => ({ NATS_CA: ca, NATS_CERT: ours.cert, NATS_KEY: ours.key }),
    });
    const all = { ca: 'env:NATS_CA', cert: 'env:NATS_CERT', key: 'env:NATS_KEY' };
    return {
      address: `127.0.0.1:${secured.port}`,
      topic: { ...by(all, trusted.cert), read },
      stranger: withOurs
        ? { ...by(all, unknown.cert), errorClass: 'tls-certificate' }
        : by({ ca: 'env:NATS_CA' }, trusted.cert),
    };
  };
  return {
    address: `127.0.0.1:${server.port}`,
    stop: async () => {
      await Promise.all([server.stop(), secured.stop(), guarded.stop()]);
    },
    kill: server.kill9,
    restart: server.start,
    topic,
    // The stream keeps what it has and takes nothing more.
    block: async () => {
      const limit = async (max_msgs: number): Promise<void> => {
        const connection = await connectTo(server);
        const { streams } = await jetstreamManager(connection);
        await streams.update(latest, { max_msgs, discard: DiscardPolicy.New });
        await connection.close();
      };
      await limit(1);
      return () => limit(-1);
    },
    refused: async () => ({
      ...(await topic()),
      message: { headers: { 'x-ü': 'a name that the protocol cannot carry' } },
      errorClass: 'invalid-message',
    }),
    unroutable: async () => ({
      settings: (address) => ({ servers: [`nats://${address}`], subject: `${uniqueName('nobody')}.{type}` }),
      says: /no stream takes the subject/,
    }),
    tooLarge: async () => ({
      ...(await topic()),
      message: { payload: `"${'x'.repeat(largest)}"` },
      says: new RegExp(`max_payload of the server allows \\(${largest} bytes\\)`),
    }),
    missingTopic: async () => {
      const subject = uniqueName('nowhere');
      return {
        settings: (address) => ({ servers: [`nats://${address}`], subject }),
        says: /no stream takes the subject/,
        isThere: async () => {
          const connection = await connectTo(server);
          const answered = await connection.request(subject, '', { timeout: 500 }).then(
            () => true,
            () => false,
          );
          await connection.close();
          return answered;
        },
      };
    },
    wrongTopic: async () => {
      const { stream } = await streamOf(server);
      const other = await streamOf(server);
      return {
        settings: (address) => ({
          servers: [`nats://${address}`],
          subject: `${stream}.x`,
          stream: other.stream,
        }),
        says: /another stream takes the subject/,
        inspected: false,
      };
    },
    window: async () => {
      const { stream, read } = await streamOf(server, { duplicate_window: 1_000_000_000 });
      return {
        topic: {
          settings: (address) => ({ servers: [`nats://${address}`], subject: `${stream}.x` }),
          read,
        },
        waitMs: 3_000,
      };
    },
    tls: () => trust(true),
    mutualTls: () => trust(false),
    wrongCredentials: async () => ({
      settings: () => ({
        servers: [`nats://127.0.0.1:${guarded.port}`],
        subject: 'a.b',
        auth: { user: 'outbox', password: 'env:NATS_PASS' },
      }),
      env: () => ({ NATS_PASS: 'wrong-pass' }),
      secret: 'wrong-pass',
    }),
  };
}

conform(
  {
    type: nats,
    start,
  },
  {
    requires: () => requires.program('nats-server'),
    short: [],
  },
);
