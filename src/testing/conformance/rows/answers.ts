/** What the answers of a server come to. */
import assert from 'node:assert/strict';
import type { Case } from '../harness.ts';
import {
  expectAcknowledged,
  expectArrived,
  expectFailedInspection,
  expectRefused,
  idOf,
  settle,
} from '../expecting.ts';
import type { Row } from '../row.ts';
import { event, type Opened, type Play } from '../stage.ts';

export const acknowledged: Row = {
  async play(play) {
    const topic = await play.server.topic();
    const opened = play.open(topic);
    const message = event({ key: 'key-7', headers: { 'x-tenant': 'blue' } });
    expectAcknowledged(await opened.send(message));
    const [received] = await expectArrived(play, topic, [message]);
    assert.equal(received?.id, idOf(message));
    assert.equal(received.headers['x-tenant'], 'blue', 'a header of the event');
    if (received.key !== null) assert.equal(received.key, 'key-7');
    const { address } = opened.sender.describe?.(message) ?? { address: null };
    assert.notEqual(address, '', 'how it was sent, for the history of attempts');
    const inspections = (await play.harness.type.inspect?.(opened.config, opened.services)) ?? [];
    assert.deepEqual(
      inspections.filter(({ level }) => level === 'fail'),
      [],
      'what doctor says of a topic that is there',
    );
  },
};

export const refused: Row = {
  needs: ['refused'],
  async play(play) {
    await betweenOthers(play, await play.server.refused!(), {});
  },
};

export const unroutable: Row = {
  needs: ['unroutable'],
  async play(play) {
    await betweenOthers(play, await play.server.unroutable!(), { errorClass: 'unroutable', permanent: true });
  },
};

export const tooLarge: Row = {
  needs: ['tooLarge'],
  async play(play) {
    const about = await play.server.tooLarge!();
    const says = about.says ?? /\d+ bytes/;
    await betweenOthers(play, { ...about, says }, { errorClass: 'too-large', permanent: true });
  },
};

/** The message of the case among others at once: where these can be read back, they arrive and it does not. */
async function betweenOthers(
  play: Play,
  about: Case,
  expected: { readonly errorClass?: string; readonly permanent?: boolean },
): Promise<void> {
  const opened = play.open(about);
  const { read } = about;
  const others = read === undefined ? [] : [event({ key: 'before' }), event({ key: 'after' })];
  const before = others.slice(0, 1).map((message) => settle(play, opened, [message]));
  const outcome = opened.send(event(about.message));
  const after = others.slice(1).map((message) => settle(play, opened, [message]));
  expectRefused(await outcome, about, expected);
  await Promise.all([...before, ...after]);
  if (read !== undefined) await expectArrived(play, { read }, others);
}

export const missingTopic: Row = {
  needs: ['missingTopic'],
  async play(play) {
    const about = await play.server.missingTopic!();
    const opened = play.open(about);
    await inspectFails(play, opened, about);
    for (let time = 0; time < 2; time++)
      expectRefused(await opened.send(event(about.message)), about, {
        errorClass: 'unknown-target',
        permanent: false,
      });
    assert.equal(await about.isThere(), false, 'it was made, which nobody asked for');
  },
};

export const wrongTopic: Row = {
  needs: ['wrongTopic'],
  async play(play) {
    const about = await play.server.wrongTopic!();
    const opened = play.open(about);
    await inspectFails(play, opened, about);
    expectRefused(await opened.send(event(about.message)), about, {
      errorClass: 'wrong-target',
      permanent: false,
    });
  },
};

export const wrongCredentials: Row = {
  needs: ['wrongCredentials'],
  async play(play) {
    const about = await play.server.wrongCredentials!();
    const opened = play.open(about);
    const message = event(about.message);
    const outcome = await opened.send(message);
    expectRefused(outcome, about, { errorClass: 'access-refused', permanent: false });
    const inspections = await inspectFails(play, opened, about);
    const said = JSON.stringify([outcome, opened.sender.describe?.(message), inspections]);
    assert.ok(!said.includes(about.secret), 'the secret is shown');
  },
};

async function inspectFails(
  { harness }: Play,
  { config, services }: Opened,
  { inspected }: Case,
): Promise<unknown> {
  if (harness.type.inspect === undefined || inspected === false) return [];
  try {
    const inspections = await harness.type.inspect(config, services);
    expectFailedInspection(inspections);
    return inspections;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return String(error); // What it throws becomes a finding.
  }
}
