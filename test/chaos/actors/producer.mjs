/**
 * A producer that can be killed: transactions with a row of its own and events, some of them rolled back. Before each it notes what it intends,
 * after each what it was told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { chance, openJournal, uuid7 } from './journal.mjs';

const { NAME, KIND, SEED, INCARNATION, RATE, ODD_SHARE, JOURNAL } = process.env;
const note = openJournal(JOURNAL);
const keysEach = 20;

let stopping = false;
/** SIGUSR2: writes no more, but stays, for whoever asks back. SIGTERM: ends, after the transaction at hand. */
let ending = false;
process.once('SIGUSR2', () => (stopping = true));
process.once('SIGTERM', () => {
  if (stopping) process.exit(0);
  stopping = ending = true;
});

const { openWriter } = await import(`./${KIND}.mjs`);
const writer = await openWriter(process.env);

let number = 0;
for (let n = 0; !stopping; n++) {
  const plan = planOf(n);
  const startedAt = performance.now();
  note({ what: 'intent', tx: plan.tx, events: plan.events });
  const outcome = await writer.write(plan);
  note({ what: 'outcome', tx: plan.tx, outcome });
  if (outcome !== (plan.rollBack ? 'rolled-back' : 'committed')) await sleep(200);
  // Paced by what was written, so that an outage is not followed by a flood.
  const tookMs = performance.now() - startedAt;
  await sleep(Math.max((plan.events.length / Number(RATE)) * 1_000 - tookMs, 0));
}
await writer.close();
if (ending) process.exit(0);
note({ what: 'wrote', producer: NAME });
setInterval(() => undefined, 60_000);

/** Keys belong to one life of one producer: what an earlier one left half done in its sockets may commit after the next has begun. */
function planOf(n) {
  const draw = (what) => chance(SEED, NAME, INCARNATION, n, what);
  const size = writer.eventsMax === 1 ? 1 : 1 + Math.floor(draw('size') * writer.eventsMax);
  const events = Array.from({ length: size }, (_, which) => ({
    id: uuid7(),
    type: writer.type ?? typeOf(draw(`type ${which}`)),
    key: `${NAME}.${INCARNATION}-${Math.floor(draw(`key ${which}`) * keysEach)}`,
    number: number++,
  }));
  return { tx: `${NAME}.${INCARNATION}-${n}`, events, rollBack: draw('end') < 0.1, chance: draw('way') };
}

function typeOf(drawn) {
  if (drawn < Number(ODD_SHARE)) return 'odd.created';
  return drawn > 0.9 ? 'payment.created' : 'order.created';
}
