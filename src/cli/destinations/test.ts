import type { DestinationConfig } from '../../core/destination.ts';
import type { OutgoingMessage, SendOutcome, SentRequest } from '../../core/outcome.ts';
import { pingPayload, pingType } from '../../core/ping.ts';
import { printable } from '../../core/printable.ts';
import { uuid7 } from '../../halfMessages/message.ts';
import { withOwnTypes } from '../../destination/registry.ts';
import { createSender, problemOf } from '../../destination/senders.ts';
import { OutboxError } from '../../errors.ts';
import { readDestinations } from '../../storage/configuration.ts';
import { readConfigFile } from '../configFile.ts';
import { withDatabase } from '../database.ts';
import { ownDestinationTypes } from '../destinationTypes.ts';
import { knownNames } from '../knownDestination.ts';
import type { Colours, Output } from '../output.ts';
import { facts } from '../table.ts';

export interface DestinationTestOptions {
  readonly config?: string;
}

/**
 * `destinations test`: one message, sent and signed as an event would be, from this process. Nothing is written down, no circuit is moved, and nothing
 * is sent again. Answers the exit code.
 */
export async function testDestination(
  out: Output,
  name: string,
  { config: file }: DestinationTestOptions,
): Promise<0 | 1> {
  const config = find(name, await destinationsOf(out, file));
  const types = withOwnTypes(await ownDestinationTypes());
  const problem = problemOf(config, { env: process.env }, types);
  if (problem !== null) throw new OutboxError(problem.code, `${name}: ${problem.message}`);
  const message = pingFor(config);
  const sender = createSender(config, { env: process.env }, types);
  try {
    const sent = sender.describe?.(message) ?? { address: '', headers: {} };
    const outcome = await sender.send(message, AbortSignal.timeout(config.timeoutMs + 5_000));
    out.result({ destination: name, eventId: message.eventId, type: pingType, ...sent, outcome }, (colours) =>
      answerText(name, sent, outcome, colours),
    );
    return outcome.kind === 'acknowledged' ? 0 : 1;
  } finally {
    await sender.close();
  }
}

async function destinationsOf(out: Output, file: string | undefined): Promise<readonly DestinationConfig[]> {
  if (file === undefined) return withDatabase(async (pool) => (await readDestinations(pool)).destinations);
  return (await readConfigFile(file, out, 'warn'))?.config.destinations ?? [];
}

function find(name: string, destinations: readonly DestinationConfig[]): DestinationConfig {
  const config = destinations.find((each) => each.name === name);
  if (config !== undefined) return config;
  const names = destinations.map((each) => each.name);
  throw new OutboxError('OUTBOX_NOT_FOUND', `there is no destination ${name}`, {
    hint: knownNames(name, names),
  });
}

/** Its id is a new one, so that an inbox takes it for what it is: a message it has not seen. */
function pingFor({ name, ordering, paths = [] }: DestinationConfig): OutgoingMessage {
  return {
    eventId: uuid7(),
    destination: name,
    revision: 1,
    type: pingType,
    key: 'outbox-ping',
    sequence: ordering === 'key' ? '0' : null,
    source: 'temporal-outbox',
    subject: null,
    contentType: 'application/json',
    payload: pingPayload(name),
    headers: {},
    extracted: Object.fromEntries(paths.map((path) => [path, 'ping'])),
    createdAt: new Date().toISOString(),
    attempt: 1,
  };
}

function answerText(name: string, sent: SentRequest, outcome: SendOutcome, colours: Colours): string {
  const rows: [string, string][] = [['sent', `${pingType} to ${printable(sent.address || name)}`]];
  if (outcome.kind === 'acknowledged') {
    const status = outcome.status === null ? '' : `${outcome.status}, `;
    return `${colours.green('ok')} ${name} took the ping\n${facts([...rows, ['answer', `${status}${Math.round(outcome.durationMs)} ms`]], colours)}`;
  }
  if (outcome.kind === 'aborted') return `${colours.red('no answer')} ${name} did not answer in time\n`;
  rows.push(['answer', printable(outcome.message)]);
  if (outcome.excerpt !== null && outcome.excerpt !== '') rows.push(['it said', printable(outcome.excerpt)]);
  const what =
    outcome.kind === 'unreachable'
      ? 'cannot be reached: an event would wait, uncharged'
      : outcome.permanent
        ? 'refused the ping for good: an event would be parked'
        : 'refused the ping: an event would be tried again';
  return `${colours.red(outcome.kind)} ${name} ${what}\n${facts(rows, colours)}`;
}
