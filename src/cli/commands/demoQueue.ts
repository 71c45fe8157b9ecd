import { setTimeout as sleep } from 'node:timers/promises';
import { jsonText, printable } from '../../core/printable.ts';
import { checkQueueDemo, type QueueCheck } from '../../demo/queue/check.ts';
import { openQueueStage, type QueueStage } from '../../demo/queue/stage.ts';
import { awaitParkedMessage, awaitResolution } from '../../demo/queue/story.ts';
import type { PlacedOrder } from '../../demo/shop.ts';
import { orders } from '../../demo/stage.ts';
import { placeOrders } from '../../demo/story.ts';
import { resolveParked, type ParkedMessage } from '../../inbox/index.ts';
import { AlreadyReported } from '../failure.ts';
import { listenForInterruption, type Interruption } from '../interruption.ts';
import { silentLog } from '../log.ts';
import { onScreen, type Output } from '../output.ts';
import { dashboardPort, defaultPorts } from '../ports.ts';
import { facts } from '../table.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';

interface Tour {
  readonly out: Output;
  readonly say: (line: string) => void;
  readonly stage: QueueStage;
  readonly exit: boolean;
  readonly interruption: Interruption;
}

/** `demo --queue rabbitmq`: outbox → RabbitMQ → consumer, each effect once. */
export async function demoQueue(out: Output, exit: boolean): Promise<void> {
  const interruption = listenForInterruption(() => out.note('stopping …'));
  routeTemporalLog(silentLog);
  const stream = out.json ? process.stderr : process.stdout;
  const say = (line: string): void => void stream.write(`${onScreen(line, out.colours)}\n`);
  const stage = await openQueueStage({
    log: silentLog,
    onProgress: out.note,
    onOutcome: (order, outcome) => say(outcomeText(order, outcome, out)),
    ...(exit ? {} : { ports: defaultPorts, dashboardPort }),
  });
  try {
    const ended = interruption.requested.then(() => undefined);
    await Promise.race([play({ out, say, stage, exit, interruption }), stage.failed, ended]);
  } finally {
    await stage.close();
  }
}

async function play(tour: Tour): Promise<void> {
  const { say, stage } = tour;
  say('');
  const placed = await placeOrders(stage, say);
  const parked = await awaitParkedMessage(stage, placed);
  say(
    `\nEach message came twice, as a queue may deliver it: ${stage.billing.consumer.counters.repeated} had no effect a second time. ` +
      `Order ${orders.wobbly} failed twice and was\nretried by its policy. Order ${orders.refused} was refused for good: ` +
      `it is parked in billing's own database, and waits for a person.`,
  );
  if (tour.exit) await resolveItself(tour, placed, parked);
  else await inviteAPerson(tour, placed, parked);
}

async function resolveItself(
  { out, say, stage }: Tour,
  placed: readonly PlacedOrder[],
  parked: ParkedMessage,
): Promise<void> {
  say('\nBilling is repaired. The demo says what a person would say: inbox parked retry');
  stage.billing.repair();
  await resolveParked(stage.billing.pool, parked.id, {
    action: 'retry',
    actor: 'demo',
    reason: 'billing knows the customer now',
  });
  await awaitResolution(stage, parked, 60_000);
  const check = await checkQueueDemo(stage, placed);
  say(`\n${verdict(check, out)}`);
  // The last line on stdout, with and without --json.
  process.stdout.write(`${jsonText(check.counts)}\n`);
  if (check.problems.length > 0) throw new AlreadyReported(1);
}

const repairAfterMs = 5_000;

async function inviteAPerson(
  { out, say, stage, interruption }: Tour,
  placed: readonly PlacedOrder[],
  parked: ParkedMessage,
): Promise<void> {
  const { outbox, billing } = stage;
  const { bold, green } = out.colours;
  say(
    `\n${bold('Your turn: resolve it.')} Billing is being repaired; it takes the order in ${repairAfterMs / 1000} seconds.\n` +
      facts(
        [
          [
            'retry',
            `temporal-outbox inbox parked retry ${parked.id} --database-url '${billing.databaseUrl}'`,
          ],
          ['or give up', `temporal-outbox inbox parked discard ${parked.id} --reason … --database-url …`],
          ...(outbox.dashboard === null ? [] : [['the dashboard', outbox.dashboard] as [string, string]]),
          ['Temporal', outbox.temporalUi],
        ],
        out.colours,
      ),
  );
  await sleep(repairAfterMs, undefined, { signal: interruption.signal }).catch(() => undefined);
  billing.repair();
  if (interruption.signal.aborted) return;
  say(green(`Billing has been repaired: it takes order ${orders.refused} now. Your turn.\n`));
  const resolved = await awaitResolution(stage, parked, undefined, interruption.signal).catch(
    (error: unknown) => {
      if (interruption.signal.aborted) return undefined;
      throw error;
    },
  );
  if (resolved === undefined) return;
  say(`\n${green('Resolved')}: ${resolved.resolution}, by ${printable(resolved.resolvedBy ?? 'somebody')}.`);
  // A discarded message has no invoice.
  const comparable = placed.filter(
    ({ eventId }) => resolved.resolution === 'applied' || eventId !== parked.messageId,
  );
  say(verdict(await checkQueueDemo(stage, comparable), out));
  say('Everything stays up until Ctrl-C.');
  await interruption.requested;
}

function outcomeText(
  order: number | null,
  outcome: 'processed' | 'failed' | 'parked',
  { colours }: Output,
): string {
  const what = order === null ? 'a message' : `order ${order}`;
  const said = { processed: colours.green('invoiced'), failed: colours.red('failed'), parked: 'parked' };
  return `  billing ${colours.dim('<-')} ${what}  ${said[outcome]}`;
}

function verdict({ counts, problems }: QueueCheck, { colours }: Output): string {
  if (problems.length > 0)
    return problems.map((problem) => `${colours.red('wrong')} ${printable(problem)}`).join('\n');
  return (
    `${colours.green('Checked')} in the tables of orders and of billing: ${counts.effects} committed orders, ${counts.sent} messages, ` +
    `and one invoice each, byte for byte; none of the ${counts.rolledBack} rolled back.`
  );
}
