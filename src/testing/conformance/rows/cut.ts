/** Connections that break, and what comes again. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  countOf,
  expectAcknowledged,
  expectArrived,
  expectInOrder,
  expectUnreachable,
  firstReceipts,
  idOf,
  settle,
  settleInOrder,
} from '../expecting.ts';
import type { Row } from '../row.ts';
import { event, events, type Play } from '../stage.ts';

export const cutBeforeTheConfirm: Row = {
  wire: true,
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const [first, unconfirmed] = [event(), event()];
    expectAcknowledged(await opened.send(first));
    await play.wire.become('drop-reply');
    const sentBefore = play.wire.bytesSent();
    const outcome = opened.send(unconfirmed);
    await play.eventually(() => assert.ok(play.wire.bytesSent() > sentBefore, 'nothing was sent'));
    await sleep(200);
    play.wire.cut();
    expectUnreachable(await outcome);
    await play.wire.become('pass');
    await settle(play, opened, [{ ...unconfirmed, attempt: 2 }]);
    const received = await expectArrived(play, topic, [first, unconfirmed]);
    assert.equal(countOf(received, first), 1, 'what was confirmed before the cut is repeated');
  },
};

export const cutAfterTheConfirm: Row = {
  wire: true,
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { policy: { timeout: '15s' } });
    const confirmed = events(100);
    for (const outcome of await Promise.all(confirmed.map((message) => opened.send(message))))
      expectAcknowledged(outcome);
    play.wire.cut();
    const next = event();
    await settle(play, opened, [next]);
    const received = await expectArrived(play, topic, [...confirmed, next]);
    for (const message of confirmed)
      assert.equal(countOf(received, message), 1, 'a confirmed message is repeated');
  },
};

export const order: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const keys = Array.from({ length: 5 }, (_, number) => events(40, { key: `key-${number}` }));
    let acknowledged = 0;
    let outage = Promise.resolve();
    const cutNowAndThen = (): void => {
      if (++acknowledged % 30 !== 0) return;
      if (play.server.address === null) outage = outage.then(() => briefOutage(play));
      else play.wire.cut();
    };
    await Promise.all(keys.map((messages) => settleInOrder(play, opened, messages, cutNowAndThen)));
    await outage;
    const received = await expectArrived(play, topic, keys.flat());
    for (const messages of keys) expectInOrder(received, messages);
  },
};

async function briefOutage(play: Play): Promise<void> {
  const heal = await play.outage();
  await sleep(20);
  await heal();
}

export const repeats: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const message = event();
    const edited = { ...message, revision: 2, payload: '{"total": 13}' };
    expectAcknowledged(await opened.send(message));
    expectAcknowledged(await opened.send({ ...message, attempt: 2 }));
    expectAcknowledged(await opened.send(edited));
    const received = await expectArrived(play, topic, [message, edited]);
    assert.deepEqual(firstReceipts(received), [idOf(message), idOf(edited)]);
    assert.ok(countOf(received, message) <= 2);
  },
};

export const beyondTheWindow: Row = {
  needs: ['window'],
  async play(play) {
    const { topic, waitMs } = await play.server.window!();
    const opened = play.open(topic);
    const message = event();
    expectAcknowledged(await opened.send(message));
    expectAcknowledged(await opened.send({ ...message, attempt: 2 }));
    const within = await expectArrived(play, topic, [message]);
    assert.equal(countOf(within, message), 1, 'the window of the server does not hold');
    await sleep(waitMs);
    expectAcknowledged(await opened.send({ ...message, attempt: 3 }));
    await play.eventually(async () => assert.equal(countOf(await topic.read(), message), 2));
  },
};
