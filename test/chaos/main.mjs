/** npm run chaos: a run as long as one likes. What it did and saw stays in .outbox/chaos. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';

const options = {
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  minutes: { type: 'string', default: '5' },
  rate: { type: 'string', default: '300' },
  busy: { type: 'boolean', default: false },
  wipe: { type: 'boolean', default: false },
  restore: { type: 'boolean', default: false },
  queue: { type: 'string' },
};
const usage =
  'Usage: npm run chaos -- [--seed S] [--minutes M] [--rate EVENTS_PER_SECOND] [--busy] [--wipe | --restore | --queue rabbitmq]';

let values;
try {
  ({ values } = parseArgs({ options }));
} catch (error) {
  refuse(error.message);
}
const { seed, minutes, rate, busy, queue, ...others } = values;
for (const [name, value] of Object.entries({ seed, minutes, rate }))
  if (!(Number(value) > 0)) refuse(`--${name} is a number above 0, not ${value}`);
if ([values.wipe, values.restore, queue].filter(Boolean).length > 1)
  refuse('--wipe, --restore and --queue are each tried alone');
if (queue !== undefined && queue !== 'rabbitmq') refuse(`--queue is rabbitmq, not ${queue}`);

const directory = fileURLToPath(new URL(`../../.outbox/chaos/${seed}-${Date.now()}/`, import.meta.url));
mkdirSync(directory, { recursive: true });
Object.assign(process.env, {
  CHAOS_SEED: seed,
  CHAOS_MINUTES: minutes,
  CHAOS_RATE: rate,
  CHAOS_BUSY: busy ? 'yes' : 'no',
  CHAOS_OPTIONS: Object.keys(others)
    .filter((name) => others[name])
    .join(' '),
  CHAOS_DIRECTORY: directory,
});
const file = queue === undefined ? 'test/chaos/chaos.test.ts' : 'test/chaos/queue/queue.test.ts';
const config = fileURLToPath(new URL('../vitest.config.ts', import.meta.url));
const vitest = await startVitest('test', [file], { config, run: true, watch: false });
await vitest.close();
process.exit(process.exitCode ?? 0);

function refuse(why) {
  console.error(`${why}\n${usage}`);
  process.exit(2);
}
