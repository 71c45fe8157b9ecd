import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCommand, resolutionActions } from '../../src/core/command.ts';

const action = fc.constantFrom(...resolutionActions);
const id = '01a20651-1d83-7d19-bc8d-8f406cb19f06';

/** Objects that look like commands: the fields are ours, their values anything. */
const nearlyRight = fc.record(
  Object.fromEntries(
    ['event', 'all', 'actor', 'reason', 'commandId', 'payload', 'headers', 'revision', 'to', 'odd'].map(
      (field) => [
        field,
        fc.oneof(
          fc.jsonValue(),
          fc.string({ unit: 'binary' }),
          fc.uuid(),
          fc.boolean(),
          fc.constantFrom('', 'half \ud83d', 'nul \0'),
        ),
      ],
    ),
  ),
  { requiredKeys: [] },
);

test('whatever JSON is sent, parsing answers: understood, or malformed with a reason', () => {
  fc.assert(
    fc.property(action, fc.oneof(fc.jsonValue(), nearlyRight), (name, input) => {
      const command = parseCommand(name, input);
      expect(command.action).toBe(name);
      if (command.malformed !== undefined) expect(command.malformed.length).toBeGreaterThan(10);
      else expect(input === undefined || typeof input === 'object').toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test('what is no JSON at all does not throw either', () => {
  fc.assert(
    fc.property(
      action,
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
      (name, input) => {
        expect(parseCommand(name, input).action).toBe(name);
      },
    ),
    { numRuns: 2_000 },
  );
  const circular: Record<string, unknown> = {};
  circular['payload'] = circular;
  expect(parseCommand('edit', circular).malformed).toBe('the input is not JSON');
  expect(parseCommand('edit', { payload: 10n }).malformed).toBe('the input is not JSON');
});

test('whatever is sent, what is handed on fits in PostgreSQL’s texts and in one Temporal payload', () => {
  fc.assert(
    fc.property(action, nearlyRight, (name, input) => {
      const { malformed, actor, reason, commandId, to } = parseCommand(name, input);
      for (const text of [malformed, actor, reason, commandId, to]) {
        expect(text ?? '').not.toMatch(/\0|\p{Surrogate}/u);
        expect((text ?? '').length).toBeLessThanOrEqual(1_000);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('empty input means the command itself', () => {
  for (const name of resolutionActions) {
    expect(parseCommand(name, undefined)).toEqual({ action: name });
    expect(parseCommand(name, {})).toEqual({ action: name });
  }
});

test('one id and several are understood alike', () => {
  expect(parseCommand('retry', { event: id })).toEqual({ action: 'retry', events: [id] });
  expect(parseCommand('retry', { event: [id, id.toUpperCase()] })).toEqual({
    action: 'retry',
    events: [id, id.toUpperCase()],
  });
});

test('every field of an edit arrives', () => {
  const edit = {
    event: id,
    actor: 'ada',
    reason: 'typo',
    commandId: 'c',
    payload: null,
    headers: { a: 'b' },
  };
  const { event, ...rest } = edit;
  expect(parseCommand('edit', edit)).toEqual({ action: 'edit', events: [event], ...rest });
});

test('a refusal keeps who, why and the command’s id, unless they are what is wrong', () => {
  expect(parseCommand('retry', { odd: 1, actor: 'ada', reason: 'r', commandId: 'c' })).toEqual({
    action: 'retry',
    actor: 'ada',
    reason: 'r',
    commandId: 'c',
    malformed: 'retry does not take "odd"; it takes event, all, actor, reason, commandId',
  });
  expect(parseCommand('retry', { actor: 'x'.repeat(201), reason: 'r' })).toEqual({
    action: 'retry',
    reason: 'r',
    malformed: '"actor" is a text of at most 200 characters, without NUL and broken Unicode',
  });
});

test('the size is counted in bytes: a payload of two-byte letters is refused at half as many', () => {
  const limit = 1024 * 1024 + 64 * 1024;
  const fitting = { payload: 'é'.repeat(limit / 2 - 10) };
  expect(Buffer.byteLength(JSON.stringify(fitting))).toBeLessThanOrEqual(limit);
  expect(parseCommand('edit', fitting).malformed).toBeUndefined();
  expect(parseCommand('edit', { payload: 'é'.repeat(limit / 2) }).malformed).toMatch(/bytes as JSON/);
  expect(parseCommand('edit', { payload: '😀'.repeat(limit / 4) }).malformed).toMatch(/bytes as JSON/);
});
