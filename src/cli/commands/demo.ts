import { setTimeout as sleep } from 'node:timers/promises';
import { checkDemo, type DemoCheck } from '../../demo/check.ts';
import { orderOf, type Receipt } from '../../demo/receiver.ts';
import type { PlacedOrder } from '../../demo/shop.ts';
import { openStage, orders, type Stage } from '../../demo/stage.ts';
import { awaitParked, awaitResolved, placeOrders, sendRetry } from '../../demo/story.ts';
import type { DeadLetter } from '../../storage/deadLetters.ts';
import { AlreadyReported } from '../failure.ts';
import { listenForInterruption, type Interruption } from '../interruption.ts';
import { silentLog } from '../log.ts';
import { onScreen, type Output } from '../output.ts';
import { dashboardPort, defaultPorts } from '../ports.ts';
import { jsonText, printable } from '../../core/printable.ts';
import { facts } from '../table.ts';
import { workflowLink } from '../../core/temporalUi.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';

export interface DemoOptions {
  readonly exit?: boolean;
  readonly queue?: 'rabbitmq';
}

/** A tour with `say` for the story and `out` for everything else. With --json only the last line is on stdout. */
interface Tour {
  readonly out: Output;
  readonly say: (line: string) => void;
  readonly stage: Stage;
  readonly placed: readonly PlacedOrder[];
  readonly parked: DeadLetter;
}

/** `demo`: one honest story on real servers. */
export async function demo(out: Output, options: DemoOptions): Promise<void> {
  if (options.queue !== undefined)
    return (await import('./demoQueue.ts')).demoQueue(out, options.exit === true);
  const interruption = listenForInterruption(() => out.note('stopping …'));
  routeTemporalLog(silentLog);
  const stream = out.json ? process.stderr : process.stdout;
  const say = (line: string): void => void stream.write(`${onScreen(line, out.colours)}\n`);
  const stage = await openStage({
    log: silentLog,
    onProgress: out.note,
    onReceipt: (receipt) => say(receiptText(receipt, out)),
    ...(options.exit === true ? {} : { ports: defaultPorts, dashboardPort }),
  });
  try {
    const ended = interruption.requested.then(() => undefined);
    await Promise.race([play(out, say, stage, options, interruption), stage.outbox.failed, ended]);
  } finally {
    await stage.close();
  }
}

async function play(
  out: Output,
  say: (line: string) => void,
  stage: Stage,
  options: DemoOptions,
  interruption: Interruption,
): Promise<void> {
  if (stage.outbox.dashboard !== null) say(facts([['the dashboard', stage.outbox.dashboard]], out.colours));
  say('');
  const placed = await placeOrders(stage, say);
  const parked = await awaitParked(stage, placed);
  say(
    `\nOrder ${orders.wobbly} failed twice and was retried by its policy. Order ${orders.refused} was refused for good ` +
      `(${parked.lastStatus ?? parked.lastErrorClass}): it is parked, and workflow\n  ${parked.workflowId}\nwaits for a person.`,
  );
  const tour: Tour = { out, say, stage, placed, parked };
  if (options.exit === true) await resolveItself(tour);
  else await inviteAPerson(tour, interruption);
}

async function resolveItself({ out, say, stage, placed, parked }: Tour): Promise<void> {
  say('\nBilling is repaired. The demo sends the signal that a person would send: retry');
  stage.receiver.repair();
  await sendRetry(stage, parked);
  await awaitResolved(stage, parked, 60_000);
  const check = await checkDemo(stage.pool, placed, stage.receiver.receipts);
  say(`\n${verdict(check, out)}`);
  // The last line on stdout, with and without --json.
  process.stdout.write(`${jsonText(check.counts)}\n`);
  if (check.problems.length > 0) throw new AlreadyReported(1);
}

const repairAfterMs = 5_000;

async function inviteAPerson(tour: Tour, interruption: Interruption): Promise<void> {
  const { out, say, stage, placed, parked } = tour;
  say(invitation(tour));
  await sleep(repairAfterMs, undefined, { signal: interruption.signal }).catch(() => undefined);
  stage.receiver.repair();
  if (interruption.signal.aborted) return;
  say(out.colours.green(`Billing has been repaired: it takes order ${orders.refused} now. Your turn.\n`));
  const resolved = await awaitResolved(stage, parked, undefined, interruption.signal).catch(
    (error: unknown) => {
      if (interruption.signal.aborted) return undefined;
      throw error;
    },
  );
  if (resolved === undefined) return;
  say(
    `\n${out.colours.green('Resolved')} by ${resolved.resolution} (${printable(resolved.resolvedBy ?? 'somebody in the Temporal UI')}).`,
  );
  // An edited event is another message, and a discarded one none: only a retry has to match what was written.
  const comparable = placed.filter(
    ({ eventId }) => resolved.resolution === 'retry' || eventId !== parked.eventId,
  );
  say(verdict(await checkDemo(stage.pool, comparable, stage.receiver.receipts), out));
  say('Everything stays up until Ctrl-C; what you insert is delivered and shown here.');
  await interruption.requested;
}

function invitation({ out, stage, parked }: Tour): string {
  const { outbox } = stage;
  const { bold } = out.colours;
  return (
    `\n${bold('Your turn: resolve it on the dashboard,')} where Retry sends it again. Or in the Temporal UI: open the workflow, then\n` +
    'More Actions → Send a Signal → retry, input empty.\n' +
    facts(
      [
        ...(outbox.dashboard === null
          ? []
          : [['the dashboard', `${outbox.dashboard}/#/letters/${parked.id}`] as [string, string]]),
        ['the workflow', workflowLink(outbox.temporalUi, outbox.namespace, parked.workflowId)],
        ['Temporal', outbox.temporalAddress],
        ['PostgreSQL', `psql '${outbox.databaseUrl}'`],
        [
          'an event',
          `insert into outbox.events (type, payload) values ('order.placed', '{"order": 99, "total": 1}');`,
        ],
        ['or by CLI', `temporal-outbox dlq retry ${parked.id}`],
      ],
      out.colours,
    ) +
    '\nFor the CLI:\n' +
    `  export OUTBOX_DATABASE_URL='${outbox.databaseUrl}' TEMPORAL_ADDRESS=${outbox.temporalAddress} TEMPORAL_UI_URL=${outbox.temporalUi}\n\n` +
    `Billing is being repaired; it takes the order in ${repairAfterMs / 1000} seconds.`
  );
}

function receiptText({ body, status, signatureHolds }: Receipt, { colours }: Output): string {
  const order = orderOf(body);
  const what = order === null ? printable(body).slice(0, 80) : `order ${order}`;
  const answer = status < 300 ? colours.green(`${status}`) : colours.red(`${status}`);
  return `  billing ${colours.dim('<-')} ${what}  ${answer}${signatureHolds ? '' : ' signature does not hold'}`;
}

function verdict({ counts, problems }: DemoCheck, { colours }: Output): string {
  if (problems.length > 0)
    return problems.map((problem) => `${colours.red('wrong')} ${printable(problem)}`).join('\n');
  return (
    `${colours.green('Checked')} in the tables and at the receiver: all ${counts.committed} committed events arrived, each taken ` +
    `exactly once, signed, byte for byte; none of the ${counts.rolledBack} rolled back did.`
  );
}
