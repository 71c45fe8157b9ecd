import assert from 'node:assert/strict';
import type { Runner } from '../conformance/suite.ts';
import {
  consumerRowNames,
  consumerRows,
  type ConsumerHarness,
  type ConsumerRowName,
  type ConsumerServer,
} from './harness.ts';
import * as ends from './rows/ends.ts';
import * as once from './rows/once.ts';
import * as order from './rows/order.ts';
import { ConsumerPlay } from './stage.ts';

export interface ConsumerConformanceOptions {
  /** Only these rows. Default: all. */
  readonly only?: readonly ConsumerRowName[];
  /** The address of an empty database for a row, its consumer's; a superuser's, as one row closes it for a moment. */
  readonly database: () => Promise<string>;
}

const plays: Readonly<Record<ConsumerRowName, (play: ConsumerPlay) => Promise<void>>> = {
  once: once.once,
  retries: once.retries,
  parked: once.parked,
  discarded: once.discarded,
  'no-id': once.noId,
  edited: once.edited,
  killed: ends.killed,
  poison: ends.poison,
  order: order.order,
  'killed-in-order': order.killedInOrder,
  'ended-in-order': order.endedInOrder,
  'cut-in-order': order.cutInOrder,
  stopping: ends.stopping,
  sharing: ends.sharing,
  long: ends.long,
  'database-away': ends.databaseAway,
  'broker-killed': ends.brokerKilled,
};

const timeout = 300_000;

/**
 * Registers the conformance suite of consumers: one test a row, against the real server that the harness starts, with processes killed.
 * What a broker cannot show is a test too, named with the reason.
 *
 * @example
 * consumerConformance({ describe, test, after: afterAll }, { name: 'rabbitmq', start }, { database });
 */
export function consumerConformance(
  { describe, test, after }: Runner,
  harness: ConsumerHarness,
  { only, database }: ConsumerConformanceOptions,
): void {
  let starting: Promise<ConsumerServer> | undefined;
  describe(`consumer of ${harness.name}`, () => {
    for (const name of consumerRowNames.filter((each) => only?.includes(each) ?? true)) {
      const reason = harness.cannot?.[name];
      if (reason !== undefined) {
        test(`not shown, ${name}: ${reason}`, { timeout }, async () => assert.match(reason, /\S/));
        continue;
      }
      test(`${name}: ${consumerRows[name]}`, { timeout }, async () => {
        const server = await (starting ??= harness.start());
        if (name === 'broker-killed')
          assert.ok(server.kill && server.restart, 'the server has no kill and restart');
        const queue = await server.queue({ ordered: /order/.test(name) });
        const play = new ConsumerPlay(server, queue, await database());
        try {
          await play.prepare();
          await plays[name](play);
          assert.deepEqual(await play.rows('select text from mistakes'), []);
        } finally {
          await play.end();
        }
      });
    }
    after(async () => {
      await (await starting?.catch(() => undefined))?.stop();
    });
  });
}
