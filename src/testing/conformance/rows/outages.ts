/** A server that is away, slow, or busy with itself. */
import { expectAcknowledged, expectArrived, expectUnreachable, settle } from '../expecting.ts';
import type { Row } from '../row.ts';
import { event } from '../stage.ts';

export const unreachable: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const [before, during, after] = [event(), event(), event()];
    expectAcknowledged(await opened.send(before));
    const heal = await play.outage();
    expectUnreachable(await opened.send(during));
    const { check } = opened.sender;
    if (check !== null) expectUnreachable(await check(new AbortController().signal));
    await heal();
    await settle(play, opened, [{ ...during, attempt: 2 }]);
    expectAcknowledged(await opened.send(after));
    if (check !== null) expectAcknowledged(await check(new AbortController().signal));
    await expectArrived(play, topic, [before, during, after]);
  },
};

export const slow: Row = {
  wire: true,
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { policy: { timeout: '3s' } });
    const [first, late, silent] = [event(), event(), event()];
    expectAcknowledged(await opened.send(first));
    await play.wire.become({ delayMs: 300 });
    // A connection that was idle may have been closed meanwhile: then it is sent again.
    await settle(play, opened, [late]);
    await play.wire.become('blackhole');
    expectUnreachable(await opened.send(silent), /^timeout$/);
    await play.wire.become('pass');
    await settle(play, opened, [{ ...silent, attempt: 2 }]);
    await expectArrived(play, topic, [first, late, silent]);
  },
};

/** Not that it was not there. */
const aboutTheServer = /^(?!connection-|network-|dns-|tls-)/;

export const blocked: Row = {
  needs: ['block'],
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic, { policy: { timeout: '3s' } });
    const [before, during] = [event(), event()];
    expectAcknowledged(await opened.send(before));
    const end = await play.server.block!();
    try {
      // A server says so when the next message comes, or without being asked: that one may wait for its deadline.
      expectUnreachable(await opened.send(during), aboutTheServer);
      expectUnreachable(await opened.send({ ...during, attempt: 2 }), aboutTheServer);
    } finally {
      await end();
    }
    await settle(play, opened, [{ ...during, attempt: 3 }]);
    await expectArrived(play, topic, [before, during]);
  },
};
