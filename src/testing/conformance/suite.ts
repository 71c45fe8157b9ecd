import assert from 'node:assert/strict';
import type { Harness } from './harness.ts';
import type { Row } from './row.ts';
import { rowNames, rows as sentences, type RowName } from './rowNames.ts';
import * as answers from './rows/answers.ts';
import { circuit, type OutboxServers } from './rows/circuit.ts';
import * as connections from './rows/connections.ts';
import * as cut from './rows/cut.ts';
import * as killed from './rows/killed.ts';
import * as outages from './rows/outages.ts';
import * as shapes from './rows/shapes.ts';
import { Stage } from './stage.ts';

/** What registers tests: vitest's `{ describe, test, after: afterAll }`, or `describe`, `test` and `after` of node:test. */
export interface Runner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: (name: string, options: { timeout: number }, body: () => Promise<void>) => unknown;
  readonly after: (body: () => Promise<void>) => unknown;
}

export interface ConformanceOptions {
  /** Only these rows. Default: all. */
  readonly only?: readonly RowName[];
  /** PostgreSQL and Temporal for the row about a whole outbox. Default: embedded ones, started for it. */
  readonly outbox?: () => Promise<OutboxServers>;
}

const defaultTimeoutMs = 600_000;

/**
 * Registers the conformance suite of a destination type: one test a row, one after another, against the real server that the harness
 * starts. What the type cannot show is a test too, named with the reason.
 *
 * @example
 * import { afterAll, describe, test } from 'vitest';
 * destinationConformance({ describe, test, after: afterAll }, { type: myType, start });
 */
export function destinationConformance(
  { describe, test, after }: Runner,
  harness: Harness,
  { only, outbox }: ConformanceOptions = {},
): void {
  const rows = rowsWith(outbox);
  const stage = new Stage(harness);
  describe(`destination type ${harness.name ?? harness.type.name}`, () => {
    for (const name of rowNames.filter((each) => only?.includes(each) ?? true)) {
      const reason = harness.cannot?.[name];
      const { timeoutMs: timeout = defaultTimeoutMs } = rows[name];
      if (reason !== undefined)
        test(`not shown, ${name}: ${reason}`, { timeout }, async () =>
          assert.match(reason, /\S/, `cannot.${name}: expected the reason`),
        );
      else
        test(`${name}: ${sentences[name]}`, { timeout }, () =>
          stage.play(async (play) => {
            for (const need of rows[name].needs ?? []) assert.ok(play.server[need], unsaid(name, need));
            if (rows[name].wire === true) assert.ok(play.server.address, unsaid(name, 'address'));
            await rows[name].play(play);
          }),
        );
    }
    after(() => stage.end());
  });
}

function unsaid(name: RowName, need: string): string {
  return `the server of the harness has no ${need}, and cannot['${name}'] does not say why`;
}

function rowsWith(outbox: ConformanceOptions['outbox']): Readonly<Record<RowName, Row>> {
  return {
    acknowledged: answers.acknowledged,
    refused: answers.refused,
    unroutable: answers.unroutable,
    'too-large': answers.tooLarge,
    'missing-topic': answers.missingTopic,
    'wrong-topic': answers.wrongTopic,
    'wrong-credentials': answers.wrongCredentials,
    unreachable: outages.unreachable,
    slow: outages.slow,
    blocked: outages.blocked,
    'killed-in-a-batch': killed.killedInABatch,
    'killed-after-acknowledging': killed.killedAfterAcknowledging,
    'cut-before-the-confirm': cut.cutBeforeTheConfirm,
    'cut-after-the-confirm': cut.cutAfterTheConfirm,
    order: cut.order,
    repeats: cut.repeats,
    'beyond-the-window': cut.beyondTheWindow,
    connections: connections.connections,
    'hot-key': shapes.hotKey,
    'non-ascii': shapes.nonAscii,
    'non-ascii-headers': shapes.nonAsciiHeaders,
    'empty-payload': shapes.emptyPayload,
    bytes: shapes.bytes,
    'one-mebibyte': shapes.oneMebibyte,
    tls: connections.tls,
    'mutual-tls': connections.mutualTls,
    stopping: connections.stopping,
    circuit: circuit(outbox),
  };
}
