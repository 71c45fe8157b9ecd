/** A server killed with -9. */
import assert from 'node:assert/strict';
import type { OutgoingMessage, SendOutcome } from '../../../core/outcome.ts';
import { expectAcknowledged, expectArrived, settle } from '../expecting.ts';
import type { Row } from '../row.ts';
import { events, type Play } from '../stage.ts';

export const killedInABatch: Row = {
  needs: ['kill', 'restart'],
  timeoutMs: 300_000,
  async play(play) {
    // A fast server may have taken all of a small batch by the time it is dead.
    for (const count of [500, 2_000, 8_000, 32_000]) if (await killAmong(play, count)) return;
    assert.fail(
      'the server was never killed in the middle of a batch: it took 32,000 messages before it died',
    );
  },
};

/** Whether some of the batch were acknowledged, and some were not. */
async function killAmong(play: Play, count: number): Promise<boolean> {
  const topic = await play.server.topic();
  const opened = play.open(topic, { address: play.server.address ?? '', policy: { timeout: '15s' } });
  const messages = events(count);
  let acknowledged = 0;
  let killed: Promise<() => Promise<void>> | undefined;
  const outcomes = await Promise.all(
    messages.map(async (message) => {
      const outcome = await opened.send(message);
      if (outcome.kind === 'acknowledged' && ++acknowledged === Math.ceil(count / 20)) killed = play.killed();
      return outcome;
    }),
  );
  const left = messages.filter((_, index) => !isAcknowledged(outcomes[index]!, messages[index]!));
  const back = await (killed ?? play.killed());
  await back();
  await settle(play, opened, left);
  await expectArrived(play, topic, messages);
  return left.length > 0;
}

function isAcknowledged(outcome: SendOutcome, { eventId }: OutgoingMessage): boolean {
  assert.ok(
    outcome.kind === 'acknowledged' || outcome.kind === 'unreachable',
    `${eventId}: a server that died costs no attempt, met ${JSON.stringify(outcome)}`,
  );
  return outcome.kind === 'acknowledged';
}

export const killedAfterAcknowledging: Row = {
  needs: ['kill', 'restart'],
  timeoutMs: 300_000,
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { address: play.server.address ?? '', policy: { timeout: '15s' } });
    const messages = events(500);
    const outcomes = await Promise.all(messages.map((message) => opened.send(message)));
    const back = await play.killed();
    outcomes.forEach(expectAcknowledged);
    await back();
    await expectArrived(play, topic, messages);
    const [next] = events(1);
    await settle(play, opened, [next!]);
    await expectArrived(play, topic, [...messages, next!]);
  },
};
