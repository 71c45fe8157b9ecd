/** A real RocketMQ on this machine: Apache's own jars from Maven Central, one process for broker and gRPC proxy, one name server. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const rocketmqVersion = '5.3.3';
export const rocketmqTopic = 'Orders';
const clientPackage = 'rocketmq-client-nodejs@1.0.8';
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
const folder = join(homedir(), '.cache', 'temporal-outbox', 'bench', `rocketmq-${rocketmqVersion}`);
const topicTriesMax = 12;
/** Fifteen seconds on a machine with nothing else to do. */
const startMsMax = 300_000;

/** Where `rocketmq-client-nodejs` is, once fetched. */
export const rocketmqModules = join(folder, 'node_modules');

/** Null when RocketMQ can take part. */
export function whyNoRocketmq() {
  const missing = ['java', 'mvn'].filter((program) => !runs(program));
  return missing.length === 0 ? null : `${missing.join(' and ')} not installed`;
}

/** Jars and client, once: about 100 MB into the cache folder. */
export async function fetchRocketmq(say) {
  const jars = join(folder, 'lib');
  if (!existsSync(join(folder, 'fetched'))) {
    say(`fetching RocketMQ ${rocketmqVersion} (about 90 MB, a minute or two) and ${clientPackage}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'pom.xml'), pom());
    await execute('mvn', ['-q', '-B', copyDependencies, `-DoutputDirectory=${jars}`], folder);
    const npm = ['install', '--silent', '--no-save', '--no-package-lock', '--prefix', folder, clientPackage];
    await execute('npm', npm, folder);
    await writeFile(join(folder, 'fetched'), '');
  }
}

/**
 * @param flushDiskType `ASYNC_FLUSH`, RocketMQ's default: answers before the disk has it; or `SYNC_FLUSH`
 * @returns `endpoints` for clients, with a topic for transactional messages; `pid` of broker and proxy;
 * `countMessages()`, of those committed
 */
export async function startRocketmq(flushDiskType, say) {
  say(`starting RocketMQ with ${flushDiskType}`);
  const home = await mkdtemp(join(tmpdir(), 'bench-rocketmq-'));
  const broker = await freeBrokerPort();
  const [names, grpc, remoting] = await Promise.all([freePort(), freePort(), freePort()]);
  const nameServer = `127.0.0.1:${names}`;
  await writeConfiguration(home, { names, broker, grpc, remoting, nameServer, flushDiskType });
  const conf = (file) => join(home, 'conf', file);
  const children = [
    java(home, ['-Xmx256m'], 'org.apache.rocketmq.namesrv.NamesrvStartup', ['-c', conf('namesrv.conf')]),
    java(home, ['-Xms1g', '-Xmx1g'], 'org.apache.rocketmq.proxy.ProxyStartup', [
      ...['-pm', 'local', '-n', nameServer],
      ...['-bc', conf('broker.conf'), '-pc', conf('rmq-proxy.json')],
    ]),
  ];
  const killAll = () => {
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('exit', killAll);
  const stop = async () => {
    process.off('exit', killAll);
    killAll();
    await Promise.all(children.map(({ ended }) => ended));
    await rm(home, { recursive: true, force: true });
  };
  try {
    await startOf(children[1], grpc);
    await createTopic(home, nameServer);
  } catch (error) {
    await stop();
    throw error;
  }
  const countMessages = () => countCommitted(home, nameServer);
  return { endpoints: `127.0.0.1:${grpc}`, pid: children[1].pid, countMessages, stop };
}

async function writeConfiguration(home, { names, broker, grpc, remoting, nameServer, flushDiskType }) {
  await mkdir(join(home, 'conf'));
  const files = {
    'namesrv.conf': `listenPort=${names}\n`,
    'broker.conf': [
      'brokerClusterName=DefaultCluster',
      'brokerName=broker-a',
      'brokerId=0',
      'brokerIP1=127.0.0.1',
      `listenPort=${broker}`,
      `namesrvAddr=${nameServer}`,
      `storePathRootDir=${join(home, 'store')}`,
      `storePathCommitLog=${join(home, 'store', 'commitlog')}`,
      `flushDiskType=${flushDiskType}`,
      '',
    ].join('\n'),
    'rmq-proxy.json': JSON.stringify({
      rocketMQClusterName: 'DefaultCluster',
      namesrvAddr: nameServer,
      grpcServerPort: grpc,
      remotingListenPort: remoting,
      proxyMode: 'LOCAL',
    }),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(home, 'conf', name), text);
}

/** The gRPC port is the last thing to be opened. */
async function startOf(broker, port) {
  for (const deadline = performance.now() + startMsMax; !(await isOpen(port)); await sleep(500)) {
    if (broker.hasEnded() || performance.now() > deadline)
      throw new Error(`RocketMQ did not start:\n${broker.said()}`);
  }
}

/** Refused until the broker has told the name server of itself. */
async function createTopic(home, nameServer) {
  const args = [
    '-n',
    nameServer,
    '-t',
    rocketmqTopic,
    '-c',
    'DefaultCluster',
    '-a',
    '+message.type=TRANSACTION',
  ];
  for (let tries = 1; ; tries++) {
    const admin = java(home, [], 'org.apache.rocketmq.tools.command.MQAdminStartup', [
      'updateTopic',
      ...args,
    ]);
    const said = await admin.ended;
    if (/create topic to .* success/.test(said)) return;
    if (tries === topicTriesMax) throw new Error(`RocketMQ does not take a topic:\n${said}`);
    await sleep(5_000);
  }
}

/** What consumers could see: the sum of the ends of all queues. */
async function countCommitted(home, nameServer) {
  const args = ['topicStatus', '-n', nameServer, '-t', rocketmqTopic];
  const said = await java(home, [], 'org.apache.rocketmq.tools.command.MQAdminStartup', args).ended;
  // broker, queue, its first offset, the one after its last.
  const ends = [...said.matchAll(/^broker-a\s+\d+\s+\d+\s+(\d+)/gm)].map(([, end]) => Number(end));
  if (ends.length === 0) throw new Error(`RocketMQ does not tell its messages:\n${said}`);
  return ends.reduce((sum, end) => sum + end);
}

function java(home, options, main, args) {
  const child = spawn(
    'java',
    // Its logs go where user.home says.
    [...options, `-Duser.home=${home}`, '-cp', join(folder, 'lib', '*'), main, ...args],
    { env: { ...process.env, ROCKETMQ_HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => (said = `${said}${chunk}`.slice(-4000)));
  const ended = new Promise((resolve) => child.once('close', () => resolve(said)));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return { pid: child.pid, ended, hasEnded, said: () => said, kill: (signal) => child.kill(signal) };
}

function runs(program) {
  try {
    execFileSync(program, ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function execute(program, args, cwd) {
  await promisify(execFile)(program, args, { cwd, maxBuffer: 64 * 2 ** 20 });
}

function pom() {
  const dependencies = ['rocketmq-proxy', 'rocketmq-namesrv', 'rocketmq-tools'].map(
    (artifact) =>
      `<dependency><groupId>org.apache.rocketmq</groupId><artifactId>${artifact}</artifactId><version>${rocketmqVersion}</version></dependency>`,
  );
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>rocketmq</artifactId><version>1</version>
<dependencies>${dependencies.join('')}</dependencies></project>`;
}

/** A broker listens at two more, two below and one above. */
async function freeBrokerPort() {
  for (;;) {
    const port = await freePort();
    const neighbours = await Promise.all(
      [port - 2, port + 1].map((each) => freePort(each).catch(() => null)),
    );
    if (!neighbours.includes(null)) return port;
  }
}

async function isOpen(port) {
  const socket = connect(port, '127.0.0.1');
  const answer = await new Promise((resolve) =>
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
  );
  socket.destroy();
  return answer;
}

async function freePort(wanted = 0) {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(wanted, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
