/** What a person does with one dead letter: the same commands, by the same way, as `dlq` sends. */
import * as z from 'zod';
import { prepareEdit } from '../../deadletter/edit.ts';
import { openOnes } from '../../deadletter/letters.ts';
import type { Resolution } from '../../deadletter/operator.ts';
import { base64Bytes } from '../../core/base64.ts';
import { memberText } from '../../core/jsonMember.ts';
import { OutboxError } from '../../errors.ts';
import { RequestRefused } from '../../http/problem.ts';
import { payloadBytesMax } from '../../produce/event.ts';
import { refusalOf } from '../../storage/resolutions.ts';
import type { DeadLetter } from '../../storage/deadLetters.ts';
import { endpoint, type Call } from '../endpoint.ts';
import { destination, headers, reason, why } from '../inputs.ts';
import { versionOf } from './letters.ts';

/** @throws OutboxError OUTBOX_COMMAND_REFUSED when somebody else was quicker */
async function openLetter({ pool, params, ifMatch }: Call<unknown, unknown>): Promise<DeadLetter> {
  const { open, refused } = await openOnes(pool, [Number(params['letter'])]);
  const [letter] = open;
  if (letter === undefined)
    throw new OutboxError('OUTBOX_COMMAND_REFUSED', refused[0]?.message ?? 'it is not parked any more');
  if (ifMatch !== undefined && ifMatch !== versionOf(letter))
    throw new RequestRefused(412, 'it has changed since the page was read', 'Look at it again, then decide.');
  return letter;
}

async function send(call: Call<unknown, unknown>, letter: DeadLetter, resolution: Omit<Resolution, 'actor'>) {
  const { operator } = await call.operating.get();
  const answer = await operator.resolveDeadLetter(letter, { ...resolution, actor: call.who.name });
  if (answer.outcome !== 'done') throw refusalOf(answer);
  return { id: letter.id, action: resolution.action, outcome: answer.outcome, message: answer.message };
}

const because = (reason: string | undefined) => (reason === undefined ? {} : { reason });

export const letterActionEndpoints = [
  endpoint({
    method: 'POST',
    path: '/letters/{letter}/retry',
    operationId: 'retryLetter',
    summary: 'Sends it again, its policy from the beginning, under the same key.',
    need: 'act',
    body: why,
    handle: async (call) =>
      send(call, await openLetter(call), { action: 'retry', ...because(call.body.reason) }),
  }),
  endpoint({
    method: 'POST',
    path: '/letters/{letter}/edit',
    operationId: 'editLetter',
    summary: 'Sends a corrected event under a new key; numbers keep their digits. The original is kept.',
    need: 'act',
    body: z.strictObject({
      payload: z.unknown().optional(),
      payloadBase64: z.string().optional(),
      headers,
      reason,
    }),
    handle: async (call) => {
      const { body, pool, who } = call;
      const payload = editedPayload(call);
      if (payload === undefined && body.headers === undefined)
        throw new RequestRefused(400, 'nothing to change: give payload, payloadBase64 or headers');
      const letter = await openLetter(call);
      // Before anything is stored: whether the command can be sent at all.
      await call.operating.get();
      const edit = { ...payload, headers: body.headers, actor: who.name, ...because(body.reason) };
      const revision = await prepareEdit(pool, letter, edit, call.keys);
      return send(call, letter, { action: 'edit', revision, ...because(body.reason) });
    },
  }),
  endpoint({
    method: 'POST',
    path: '/letters/{letter}/redirect',
    operationId: 'redirectLetter',
    summary: 'Sends it to another destination instead.',
    need: 'act',
    body: z.strictObject({ to: destination, reason }),
    handle: async (call) =>
      send(call, await openLetter(call), {
        action: 'redirect',
        to: call.body.to,
        ...because(call.body.reason),
      }),
  }),
  endpoint({
    method: 'POST',
    path: '/letters/{letter}/discard',
    operationId: 'discardLetter',
    summary: 'Gives it up; the reason stands in the audit.',
    need: 'act',
    body: z.strictObject({ reason: reason.unwrap() }),
    handle: async (call) =>
      send(call, await openLetter(call), { action: 'discard', reason: call.body.reason }),
  }),
];

/** Undefined: it stays as it is. The text is the caller's own: JavaScript would have rounded what is beyond 2^53. */
function editedPayload({ body, text }: Call<unknown, { payloadBase64?: string | undefined }>) {
  const payloadText = memberText(text, 'payload');
  const { payloadBase64 } = body;
  if (payloadText !== undefined && payloadBase64 !== undefined)
    throw new RequestRefused(400, 'expected one of payload and payloadBase64');
  if (payloadBase64 === undefined) return payloadText === undefined ? undefined : { payloadText };
  const payloadBytes = base64Bytes(payloadBase64);
  if (payloadBytes === undefined) throw new RequestRefused(400, 'payloadBase64: expected bytes in base64');
  if (payloadBytes.length > payloadBytesMax)
    throw new RequestRefused(413, `payloadBase64: a payload has at most ${payloadBytesMax} bytes`);
  return { payloadBytes };
}
