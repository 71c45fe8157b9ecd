/** What rows expect of outcomes and of what arrived, each failure with what was met instead. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage, SendOutcome } from '../../core/outcome.ts';
import type { Inspection } from '../../destination/type.ts';
import type { Case, Received, Topic } from './harness.ts';
import type { Opened, Play } from './stage.ts';

export const idOf = ({ eventId, revision }: OutgoingMessage): string => messageId(eventId, revision);

export function expectAcknowledged(outcome: SendOutcome): void {
  assert.equal(outcome.kind, 'acknowledged', `expected an acknowledgement, met ${JSON.stringify(outcome)}`);
}

type Failed = Extract<SendOutcome, { readonly errorClass: string }>;

export function expectUnreachable(outcome: SendOutcome, classes?: RegExp): Failed {
  const met = `met ${JSON.stringify(outcome)}`;
  assert.ok(outcome.kind === 'unreachable', `expected unreachable, which costs no attempt; ${met}`);
  if (classes !== undefined) assert.match(outcome.errorClass, classes, `the class; ${met}`);
  assert.notEqual(outcome.message, '', `expected words; ${met}`);
  return outcome;
}

/** `errorClass`: the one shared by all types; `permanent`: whether a repeat is of no use. */
export function expectRefused(
  outcome: SendOutcome,
  about: Case,
  { errorClass, permanent }: { readonly errorClass?: string; readonly permanent?: boolean },
): Failed {
  const met = `met ${JSON.stringify(outcome)}`;
  assert.ok(outcome.kind === 'refused', `expected a refusal; ${met}`);
  const expected = about.errorClass ?? errorClass;
  if (expected !== undefined) assert.equal(outcome.errorClass, expected, `the class; ${met}`);
  if (permanent !== undefined && about.errorClass === undefined)
    assert.equal(outcome.permanent, permanent, `whether it is for good; ${met}`);
  assert.notEqual(outcome.message, '', `expected words; ${met}`);
  if (about.says !== undefined) assert.match(outcome.message, about.says);
  return outcome;
}

export function expectFailedInspection(inspections: readonly Inspection[]): void {
  const failed = inspections.filter(({ level }) => level === 'fail');
  assert.notEqual(failed.length, 0, `doctor should find a fault, found ${JSON.stringify(inspections)}`);
  for (const { found, hint } of failed)
    assert.ok(found !== '' && hint !== null && hint !== '', 'what is found, and what to do, in words');
}

/** Sends again what could not be sent, as the outbox would, until all are acknowledged; a refusal fails the row. */
export async function settle(
  play: Play,
  opened: Opened,
  messages: readonly OutgoingMessage[],
): Promise<void> {
  let deadline = Date.now() + play.patienceMs;
  let left = [...messages];
  for (let attempt = 1; left.length > 0; attempt++) {
    const sent = left.map((message) => ({ ...message, attempt: message.attempt + attempt - 1 }));
    const outcomes = await Promise.all(sent.map((message) => opened.send(message)));
    // As long as some get through it is not stuck, only slow.
    if (outcomes.some(({ kind }) => kind === 'acknowledged')) deadline = Date.now() + play.patienceMs;
    left = left.filter((_, index) => {
      const outcome = outcomes[index]!;
      if (outcome.kind === 'acknowledged') return false;
      if (outcome.kind !== 'unreachable' || Date.now() > deadline) expectAcknowledged(outcome);
      return true;
    });
    if (left.length > 0) await sleep(100);
  }
}

/** Those of one key, each when its predecessor was acknowledged: what `ordering: key` does. */
export async function settleInOrder(
  play: Play,
  opened: Opened,
  messages: readonly OutgoingMessage[],
  acknowledged: () => void = () => undefined,
): Promise<void> {
  for (const message of messages) {
    await settle(play, opened, [message]);
    acknowledged();
  }
}

/** What arrived, once all of these did; nothing else may have, and each body is byte for byte its payload. */
export async function expectArrived(
  play: Play,
  topic: Pick<Topic, 'read'>,
  messages: readonly OutgoingMessage[],
): Promise<readonly Received[]> {
  const sent = new Map(messages.map((message) => [idOf(message), message]));
  const received = await play.eventually(async () => {
    const all = await topic.read();
    const ids = new Set(all.map(({ id }) => id));
    const missing = [...sent.keys()].filter((id) => !ids.has(id));
    assert.equal(missing.length, 0, `${missing.length} of ${sent.size} did not arrive: ${missing[0]} …`);
    return all;
  });
  for (const { id, body } of received) {
    const message = sent.get(id);
    assert.ok(message !== undefined, `${id} arrived and was not to`);
    assert.ok(Buffer.from(body).equals(Buffer.from(message.payload)), `the body of ${id} is another`);
  }
  return received;
}

/** Ids as they came first; a repeat stands where its first did. */
export function firstReceipts(received: readonly Received[]): string[] {
  return [...new Set(received.map(({ id }) => id))];
}

/** The first receipts of these are in the order in which they were sent. */
export function expectInOrder(received: readonly Received[], messages: readonly OutgoingMessage[]): void {
  const expected = messages.map(idOf);
  const wanted = new Set(expected);
  assert.deepEqual(
    firstReceipts(received).filter((id) => wanted.has(id)),
    expected,
    'the order of one key',
  );
}

export function countOf(received: readonly Received[], message: OutgoingMessage): number {
  return received.filter(({ id }) => id === idOf(message)).length;
}
