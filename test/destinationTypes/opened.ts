/** Senders of a destination type, by lines of outbox.yaml, and messages to send by them. */
import { expect } from 'vitest';
import { inspectDestinations } from '../../src/cli/doctor/destinations.ts';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { OutgoingMessage, Sender, SendOutcome } from '../../src/core/outcome.ts';
import { builtInTypes } from '../../src/destination/registry.ts';
import { createSender } from '../../src/destination/senders.ts';
import { Connections } from '../../src/destination/shared/connections.ts';
import { message } from '../destination/support/fixtures.ts';
import { atEnd } from '../support/index.ts';

export type Env = Readonly<Record<string, string>>;

/** outbox.yaml with the one destination `stock`. */
export function fileWith(type: string, lines: readonly string[]): string {
  return [
    'destinations:',
    '  stock:',
    `    type: ${type}`,
    ...lines.map((line) => `    ${line}`),
    'routes: []',
  ].join('\n');
}

export const configOf = (type: string, lines: readonly string[], env: Env = {}) =>
  parseConfig(fileWith(type, lines), { env }).config;

export interface Opened extends Sender {
  /** Sends with a signal that never fires. */
  deliver(changes?: Partial<OutgoingMessage>): Promise<SendOutcome>;
}

/** Closed when the test ends. */
export function open(
  type: string,
  lines: readonly string[],
  { env = {}, connections = new Connections() }: { env?: Env; connections?: Connections } = {},
): Opened {
  const [destination] = configOf(type, lines, env).destinations;
  const sender = createSender(destination!, { env, connections });
  const { signal } = new AbortController();
  atEnd(() => sender.close());
  return {
    send: (outgoing, by) => sender.send(outgoing, by),
    describe: (outgoing) => sender.describe!(outgoing),
    check: sender.check,
    close: () => sender.close(),
    deliver: (changes) => sender.send(message(changes), signal),
  };
}

/** The destinations' inspections, as doctor prints them. */
export const look = (type: string, lines: readonly string[], env: Env = {}) =>
  inspectDestinations(configOf(type, lines, env).destinations, builtInTypes, env);

/** On one line, however it was wrapped. */
export const explained = (type: string, lines: readonly string[], env: Env = {}): string =>
  explainConfig(configOf(type, lines, env), env).text.replaceAll(/\s+/g, ' ');

/** A message of its own id and payload for each number. */
export function numbered(number: number, changes: Partial<OutgoingMessage> = {}): Partial<OutgoingMessage> {
  return {
    eventId: `0192f0c1-2345-7890-abcd-${String(number).padStart(12, '0')}`,
    payload: `{"n": ${number}}`,
    ...changes,
  };
}

/** Numbers from `from`, sent at once. */
export function sendMany(
  sender: Opened,
  count: number,
  changesOf: (number: number) => Partial<OutgoingMessage> = () => ({}),
  from = 0,
): Promise<SendOutcome[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      sender.deliver(numbered(from + index, changesOf(from + index))),
    ),
  );
}

export function numberOf(body: string): number {
  return (JSON.parse(body) as { readonly n: number }).n;
}

export const kindsOf = (outcomes: readonly SendOutcome[]): string[] => [
  ...new Set(outcomes.map(({ kind }) => kind)),
];

/** For `expect`: a refusal of this class whose message has the text. */
export function failure(kind: 'refused' | 'unreachable', errorClass: string, text = '') {
  return { kind, errorClass, message: expect.stringContaining(text) as string };
}
