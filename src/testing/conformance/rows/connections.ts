/** Connections: how many, to whom, and until when. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Connections } from '../../../destination/shared/connections.ts';
import { expectAcknowledged, expectArrived, expectUnreachable } from '../expecting.ts';
import type { Trust } from '../harness.ts';
import type { Row } from '../row.ts';
import { event, events, type Play } from '../stage.ts';

const many = 50;

export const connections: Row = {
  wire: true,
  timeoutMs: 300_000,
  async play(play) {
    const { server, wire, harness } = play;
    const places = (await server.topics?.(many)) ?? (await topicsOf(play));
    const shared = new Connections();
    const opened = places.map((place) =>
      play.open(place, { connections: shared, policy: { timeout: '30s' } }),
    );
    for (let round = 0; round < 2; round++) {
      const outcomes = await Promise.all(opened.map((each) => each.send(event())));
      outcomes.forEach(expectAcknowledged);
    }
    assert.equal(shared.size, 1, 'connections that the process counts');
    const most = harness.connections ?? 1;
    assert.ok(wire.connections() <= most, `${wire.connections()} connections, more than ${most}`);
    for (const { sender } of opened.slice(1)) await sender.close();
    expectAcknowledged(await opened[0]!.send(event()));
    await opened[0]!.sender.close();
    assert.equal(shared.size, 0);
    await play.eventually(() => assert.equal(wire.connections(), 0, 'connections that are left open'));
  },
};

async function topicsOf({ server }: Play) {
  const topics = [];
  for (let number = 0; number < many; number++) topics.push(await server.topic());
  return topics;
}

export const stopping: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { policy: { timeout: '15s' } });
    const messages = events(200);
    const sending = messages.map((message) => opened.send(message));
    let closed = false;
    const closing = opened.sender.close().then(async () => {
      await turn(); // Who waits for an answer that is there goes first.
      closed = true;
    });
    const outcomes = await Promise.all(
      sending.map(async (each) => {
        const outcome = await each;
        assert.equal(closed, false, 'it was closed before what was under way had its answer');
        return outcome;
      }),
    );
    await closing;
    outcomes.forEach(expectAcknowledged);
    assert.equal((await opened.send(event())).kind, 'aborted', 'what comes after closing is not sent');
    await expectArrived(play, topic, messages);
    await play.eventually(() => assert.equal(play.wire.connections(), 0, 'connections that are left open'));
  },
};

export const tls: Row = {
  needs: ['tls'],
  play: async (play) => trusts(play, await play.server.tls!()),
};

export const mutualTls: Row = {
  needs: ['mutualTls'],
  play: async (play) => trusts(play, await play.server.mutualTls!()),
};

async function trusts(play: Play, { topic, stranger, address }: Trust): Promise<void> {
  const message = event();
  expectAcknowledged(await play.open(topic, { address }).send(message));
  const outcome = await play.open(stranger, { address }).send(event());
  const { errorClass = '(tls|connection)-[a-z]+' } = stranger;
  expectUnreachable(outcome, new RegExp(`^${errorClass}$`));
  await expectArrived(play, topic, [message]);
}
