/**
 * npm run bench [-- drain|latency|cost|slow|quiet|hot|idle|shapes|memory|claims|inbox|order|outage|dashboard|half-messages|queues|redrive] [--events N] [--waiting N] [--rounds N]
 *               [--seconds N] [--only a,b] [--rates 10,100,1000] [--load]
 * quiet: [--destinations 1000] [--dead 0] [--slow 0]; many destinations at --rates over all of them.
 * memory and claims: --waiting rows, a million unless told otherwise; outage and dashboard: 100,000.
 * hot: one destination drained by one, two and three processes, each held to part of a core.
 * idle: what it costs while nothing happens; --destinations 1,10000, in turns.
 * shapes: payloads of 300 B, 10 kB and 200 kB, and a receiver that takes 20 ms.
 * --temporal postgres: a Temporal server with its state in that PostgreSQL, which Go compiles first, in place of the development server.
 * --quick: drain, latency, cost, shapes, slow and idle in ten minutes. --out FOLDER: figures.json, figures.md and figures.svg are written there.
 * plan: no measurement; the tables of docs/scaling.md from measured.json, which `cost --json` makes.
 * latency and cost run for --seconds at each of --rates; --load: beside as many busy loops as there are cores.
 * redrive: a fourth of --events at each of --rates, and --rounds of parking them with and without causes.
 * half-messages takes part only where it is named, as it fetches RocketMQ, and needs java and mvn.
 * queues [--only rabbitmq,kafka,nats,rocketmq,redis,elasticmq]: needs those brokers, as the tests do (see .ci/run).
 *
 * Compares contestants on one machine in one run, in turns, so that noise falls on all alike: quote the ratios. Every
 * contestant is a process of its own, under one Node, against the same embedded PostgreSQL and the same receiver.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cpus, totalmem } from 'node:os';
import { contestants } from './contestants/index.mjs';
import { measureClaims } from './claims.mjs';
import { measureCost } from './cost.mjs';
import { measureDashboard } from './dashboard.mjs';
import { measureDrain } from './drain.mjs';
import { measureHalfMessages } from './halfMessages.mjs';
import { measureHot } from './hot.mjs';
import { measureIdle } from './idle.mjs';
import { measureInbox } from './inbox.mjs';
import { measureLatency } from './latency.mjs';
import { measureMemory } from './memory.mjs';
import { measureOrder } from './order.mjs';
import { measureQueues } from './queues.mjs';
import { measureOutage } from './outage.mjs';
import { measureQuiet } from './quiet.mjs';
import { measureRedrive } from './redrive.mjs';
import { measureSlow } from './slow.mjs';
import { measureShapes } from './shapes.mjs';
import { tablesOf } from './tables.mjs';
import { pictureOf } from './picture.mjs';
import { cloudTable, machineTable } from './plan.mjs';
import { openStage } from './stage.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    events: { type: 'string', default: '40000' },
    waiting: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    rates: { type: 'string', default: '100' },
    destinations: { type: 'string' },
    dead: { type: 'string', default: '0' },
    slow: { type: 'string', default: '0' },
    load: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    temporal: { type: 'string', default: 'dev' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
if (positionals.includes('plan')) {
  console.log(`${machineTable()}\n\n${cloudTable()}`);
  process.exit(0);
}
if (values.quick)
  Object.assign(values, {
    events: '10000',
    rounds: '1',
    rates: '10,100,1000',
    seconds: values.seconds ?? '6',
  });
const usual = values.quick
  ? ['drain', 'latency', 'cost', 'shapes', 'slow', 'idle']
  : ['drain', 'latency', 'memory', 'inbox'];
const parts = positionals.length > 0 ? positionals : usual;
const chosen =
  values.only === undefined
    ? contestants
    : contestants.filter(({ name }) => values.only.split(',').includes(name));

// Servers of the bench are ended when this process exits, which a signal alone would not make it do.
process.once('SIGTERM', () => process.exit(143));

const waiting = (usual) => Number(values.waiting ?? usual);
const say = (line) => process.stderr.write(`${line}\n`);
if (!['dev', 'postgres'].includes(values.temporal))
  throw new Error(`--temporal is dev or postgres, not ${values.temporal}`);
const stage = await openStage(say, values.temporal);
const report = {
  machine: `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  node: stage.nodeVersion,
  temporal: values.temporal,
  parts: {},
};
try {
  if (parts.includes('drain'))
    report.parts.drain = await measureDrain(stage, chosen, {
      events: Number(values.events),
      rounds: Number(values.rounds),
      say,
    });
  if (parts.includes('order'))
    report.parts.order = await measureOrder(stage, { rounds: Number(values.rounds), say });
  if (parts.includes('latency'))
    report.parts.latency = await measureLatency(stage, chosen, {
      rates: values.rates.split(',').map(Number),
      seconds: Number(values.seconds ?? 15),
      load: values.load,
      say,
    });
  if (parts.includes('cost'))
    report.parts.cost = await measureCost(stage, contestants[0], {
      rates: values.rates.split(',').map(Number),
      seconds: Number(values.seconds ?? 60),
      say,
    });
  if (parts.includes('slow'))
    report.parts.slow = await measureSlow(stage, chosen, { events: Number(values.events), say });
  if (parts.includes('shapes')) report.parts.shapes = await measureShapes(stage, chosen, { say });
  if (parts.includes('quiet'))
    report.parts.quiet = await measureQuiet(stage, contestants[0], {
      destinations: Number(values.destinations ?? 1000),
      rates: values.rates.split(',').map(Number),
      seconds: Number(values.seconds ?? 20),
      dead: Number(values.dead),
      slow: Number(values.slow),
      say,
    });
  if (parts.includes('hot'))
    report.parts.hot = await measureHot(stage, contestants[0], {
      events: Number(values.events),
      rounds: Number(values.rounds),
      say,
    });
  if (parts.includes('idle'))
    report.parts.idle = await measureIdle(stage, contestants[0], {
      destinations: (values.destinations ?? '1,10000').split(',').map(Number),
      rounds: Number(values.rounds),
      say,
    });
  if (parts.includes('outage'))
    report.parts.outage = await measureOutage(stage, { events: waiting(100_000), say });
  if (parts.includes('dashboard'))
    report.parts.dashboard = await measureDashboard(stage, {
      letters: waiting(100_000),
      say,
    });
  if (parts.includes('redrive'))
    report.parts.redrive = await measureRedrive(stage, {
      letters: Math.round(Number(values.events) / 4),
      rates: values.rates.split(',').map(Number),
      rounds: Number(values.rounds),
      say,
    });
  if (parts.includes('memory'))
    report.parts.memory = await measureMemory(stage, {
      waiting: waiting(1_000_000),
      say,
    });
  if (parts.includes('claims'))
    report.parts.claims = await measureClaims(stage, {
      waiting: waiting(1_000_000),
      say,
    });
  if (parts.includes('inbox'))
    report.parts.inbox = await measureInbox(stage, {
      messages: Math.round(Number(values.events) / 2),
      rounds: Number(values.rounds),
      say,
    });
  if (parts.includes('half-messages'))
    report.parts['half-messages'] = await measureHalfMessages(stage, {
      only: values.only?.split(','),
      rounds: Number(values.rounds),
      seconds: Number(values.seconds ?? 5),
      say,
    });
  if (parts.includes('queues'))
    report.parts.queues = await measureQueues(stage, {
      only: values.only?.split(','),
      events: Number(values.events),
      rounds: Number(values.rounds),
      say,
    });
} finally {
  await stage.close();
}
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'figures.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(values.out, 'figures.md'), tablesOf(report));
  await writeFile(join(values.out, 'figures.svg'), pictureOf(report));
}
if (values.json) console.log(JSON.stringify(report));
else print(report);
process.exit(0);

function print({ machine, node, parts }) {
  console.log(
    `\n${machine}, Node ${node}, PostgreSQL embedded, Temporal ${values.temporal === 'dev' ? 'too' : 'with its state in it'}, receiver in a process of its own`,
  );
  for (const [part, rows] of Object.entries(parts)) {
    console.log(`\n${part}`);
    console.table(rows);
  }
}
