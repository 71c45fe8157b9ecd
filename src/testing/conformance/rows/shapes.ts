/** Messages of every shape, and many of them. */
import assert from 'node:assert/strict';
import { expectAcknowledged, expectArrived, settle } from '../expecting.ts';
import type { Row } from '../row.ts';
import { event, events } from '../stage.ts';

export const hotKey: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { policy: { timeout: '30s' } });
    const others = Array.from({ length: 50 }, (_, number) => event({ key: `other-${number}` }));
    const messages = [...events(1_000, { key: 'hot' }), ...others];
    await settle(play, opened, messages);
    await expectArrived(play, topic, messages);
  },
};

export const nonAscii: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const message = event({ key: 'clé-鍵-🔑', payload: '{"größe": "日本 🎈\\u0000"}', type: 'order.größe' });
    expectAcknowledged(await play.open(topic).send(message));
    const [received] = await expectArrived(play, topic, [message]);
    if (received?.key !== null) assert.equal(received?.key, message.key);
  },
};

export const nonAsciiHeaders: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const message = event({ headers: { 'x-name': 'Žofie 日本 🎈' } });
    expectAcknowledged(await play.open(topic).send(message));
    const [received] = await expectArrived(play, topic, [message]);
    assert.equal(received?.headers['x-name'], message.headers['x-name']);
  },
};

export const emptyPayload: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const message = event({ payload: '', contentType: 'text/plain' });
    expectAcknowledged(await play.open(topic).send(message));
    await expectArrived(play, topic, [message]);
  },
};

export const bytes: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const every = Uint8Array.from({ length: 256 }, (_, value) => value);
    const contentType = 'application/octet-stream';
    const messages = [every, every.toReversed(), new Uint8Array([0])].map((payload) =>
      event({ payload, contentType }),
    );
    await settle(play, opened, messages);
    await expectArrived(play, topic, messages);
  },
};

export const oneMebibyte: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const large = event({ payload: `"${'x'.repeat(1024 * 1024 - 2)}"` });
    const small = event();
    await settle(play, opened, [large, small]);
    await expectArrived(play, topic, [large, small]);
  },
};
