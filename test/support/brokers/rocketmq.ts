/** A real RocketMQ: one process for broker and gRPC proxy, and a name server. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../../../src/embedded/ports.ts';
import { atEnd } from '../cleanup.ts';
import { eventually } from '../eventually.ts';
import { classPath } from './jars.ts';
import { rocketmqAdmin, type RocketmqAdmin } from './rocketmqAdmin.ts';
import { brokerDirectory, launchBroker, type BrokerProcess } from './process.ts';

export interface TestRocketmq extends BrokerProcess {
  /** `127.0.0.1:<port>` of the gRPC proxy. */
  readonly endpoints: string;
  /** Waits until it can be written to. */
  readonly createTopic: (topic: string, kind?: 'NORMAL' | 'FIFO' | 'DELAY' | 'TRANSACTION') => Promise<void>;
  readonly topics: () => Promise<string[]>;
  /** `mqadmin` as a shell calls it, and whom it asks. */
  readonly tools: { readonly nameServer: string; readonly command: string };
  /** Without Java. */
  readonly admin: RocketmqAdmin;
  /** All that a topic holds, in the order of the broker's log, by RocketMQ's own Java client. */
  readonly read: (topic: string) => Promise<readonly StoredMessage[]>;
}

export interface StoredMessage {
  readonly body: Buffer;
  readonly properties: Readonly<Record<string, string>>;
}

/** Stopped when the test (or the file) ends. */
export async function startRocketmq(proxy: object = {}): Promise<TestRocketmq> {
  const server = await launchRocketmq(proxy);
  atEnd(server.stop);
  return server;
}

/** Makes no topics by itself. The caller stops it. `proxy`: keys of its configuration. */
export async function launchRocketmq(proxy: object = {}): Promise<TestRocketmq> {
  for (let tries = 1; ; tries++)
    try {
      return await launch(proxy);
    } catch (error) {
      // Ports that were free when asked for may be somebody else's by the time Java has started.
      if (tries === 3 || !String(error).includes('Address already in use')) throw error;
    }
}

async function launch(proxy: object): Promise<TestRocketmq> {
  const directory = await brokerDirectory('rocketmq');
  const [names, grpc, remoting, broker] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await brokerPort(),
  ];
  const nameServer = `127.0.0.1:${names}`;
  const admin = await rocketmqAdmin(broker);
  await writeConfiguration(directory, { names, broker, grpc, remoting }, { proxy, broker: admin.settings });
  const env = { ROCKETMQ_HOME: directory };
  const java = [`-Duser.home=${directory}`, '-cp', classPath('rocketmq')!];
  const conf = (file: string) => join(directory, 'conf', file);
  const naming = spawn(
    'java',
    ['-Xmx128m', ...java, 'org.apache.rocketmq.namesrv.NamesrvStartup', '-c', conf('namesrv.conf')],
    { stdio: 'ignore', env: { PATH: process.env['PATH'], ...env } },
  );
  const tool = ['-Xmx256m', ...java, 'org.apache.rocketmq.tools.command.MQAdminStartup'];
  const mqadmin = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)('java', [...tool, ...args, '-n', nameServer], {
      env: { ...process.env, ...env, LC_ALL: 'C.UTF-8' },
      maxBuffer: 128 * 2 ** 20,
    });
    return stdout;
  };
  const running = await launchBroker({
    directory,
    env,
    command: 'java',
    args: [
      ...['-Xms512m', '-Xmx768m', ...java, 'org.apache.rocketmq.proxy.ProxyStartup', '-pm', 'local'],
      ...['-n', nameServer, '-bc', conf('broker.conf'), '-pc', conf('rmq-proxy.json')],
    ],
    port: grpc,
    // The gRPC port is the last thing to be opened.
    ready: () => listens(grpc),
    patience: 180_000,
  });
  return {
    endpoints: `127.0.0.1:${grpc}`,
    admin,
    tools: {
      nameServer,
      command: `ROCKETMQ_HOME=${directory} java ${tool.map((each) => `'${each}'`).join(' ')}`,
    },
    ...running,
    stop: async () => {
      naming.kill('SIGKILL');
      await running.stop();
    },
    createTopic: (topic, kind = 'NORMAL') =>
      // Refused until the broker has told the name server of itself.
      eventually(
        async () => {
          const said = await mqadmin(
            ...['updateTopic', '-t', topic, '-c', 'DefaultCluster', '-a', `+message.type=${kind}`],
          );
          if (!/success/.test(said)) throw new Error(said);
        },
        { timeout: 180_000, interval: 500 },
      ),
    topics: async () => (await mqadmin('topicList')).split('\n').map((line) => line.trim()),
    read: async (topic) => parse(await mqadmin('printMsg', '-t', topic, '-d', 'true')),
  };
}

async function writeConfiguration(
  directory: string,
  ports: Readonly<Record<'names' | 'broker' | 'grpc' | 'remoting', number>>,
  more: { readonly proxy: object; readonly broker: readonly string[] },
): Promise<void> {
  await mkdir(join(directory, 'conf'));
  const namesrvAddr = `127.0.0.1:${ports.names}`;
  const files = {
    'namesrv.conf': `listenPort=${ports.names}\n`,
    'broker.conf': [
      'brokerClusterName=DefaultCluster',
      'brokerName=broker-a',
      'brokerId=0',
      'brokerIP1=127.0.0.1',
      `listenPort=${ports.broker}`,
      `namesrvAddr=${namesrvAddr}`,
      `storePathRootDir=${join(directory, 'store')}`,
      `storePathCommitLog=${join(directory, 'store', 'commitlog')}`,
      'mappedFileSizeCommitLog=67108864',
      'autoCreateTopicEnable=false',
      ...more.broker,
      '',
    ].join('\n'),
    'rmq-proxy.json': JSON.stringify({
      rocketMQClusterName: 'DefaultCluster',
      namesrvAddr,
      grpcServerPort: ports.grpc,
      remotingListenPort: ports.remoting,
      proxyMode: 'LOCAL',
      ...more.proxy,
    }),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, 'conf', name), text);
}

/** A broker listens at two below and one above too. */
async function brokerPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const free = await Promise.all([port - 2, port + 1].map((each) => listens(each).catch(() => 'free')));
    if (free.every((each) => each === 'free')) return port;
  }
}

function listens(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

/** Lines such as `MSGID: … MessageExt [… properties={a=b, c=d}, body=[…], …] BODY: …`. */
function parse(printed: string): StoredMessage[] {
  return printed
    .split(/^MSGID: /m)
    .slice(1)
    .map((entry) => {
      const properties = /properties=\{(.*)\}, body=/s.exec(entry)?.[1] ?? '';
      const bytes = /\}, body=\[([\d, -]*)\]/.exec(entry)?.[1] ?? '';
      const body = Buffer.from(bytes === '' ? [] : bytes.split(',').map(Number));
      const at = Number(/commitLogOffset=(\d+)/.exec(entry)?.[1]);
      return { at, body, properties: propertiesOf(properties) };
    })
    .toSorted((a, b) => a.at - b.at);
}

function propertiesOf(text: string): Record<string, string> {
  const pairs = text.split(/, (?=[^\s=,]+=)/).map((pair) => pair.split(/=(.*)/s));
  return Object.fromEntries(pairs.map(([name = '', value = '']) => [name, value]));
}
