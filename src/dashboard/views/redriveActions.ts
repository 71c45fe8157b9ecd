/** Previewing, starting and steering redrives: the same as the command line does. */
import * as z from 'zod';
import { pacedActions, resolutionActions, type PacedAction } from '../../core/command.ts';
import { memberText } from '../../core/jsonMember.ts';
import { RequestRefused } from '../../http/problem.ts';
import { createRedrives, type RedriveRequest } from '../../redrive/index.ts';
import { endpoint, type Call } from '../endpoint.ts';
import { cause, destination, eventType, key, parkedFor, reason, text, why } from '../inputs.ts';
import { whyNot } from '../who.ts';
import { withoutTexts } from './redrives.ts';

/** Shapes alone: what they mean, and which go together, `checkRedrive` says, as everywhere. */
const request = z.strictObject({
  destination: destination.optional(),
  cause: cause.optional(),
  type: eventType.optional(),
  key: key.optional(),
  since: text(40).optional(),
  until: text(40).optional(),
  status: z.int().min(100).max(999).optional(),
  text: text(1000).optional(),
  payload: text(1000).optional(),
  parkedFor: parkedFor.optional(),
  letters: z.array(z.int().positive()).min(1).max(1000).optional(),
  all: z.literal(true).optional(),
  action: z.enum(resolutionActions).optional(),
  patch: z.array(z.unknown()).optional(),
  to: destination.optional(),
  steps: z.array(z.int().positive()).min(1).max(100).optional(),
  rate: z.number().positive().optional(),
  maxFailures: z.number().min(0).max(1).optional(),
  reason,
});

async function preview(call: Call<unknown, z.infer<typeof request>>) {
  const { pool, name, body, who, text: written } = call;
  // Both tell of payloads what they hold: how many match, and where a patch fits.
  const refusal = whyNot(who, 'payloads');
  if (refusal !== null && (body.payload !== undefined || body.action === 'edit'))
    throw new RequestRefused(403, refusal);
  // The patch's own text: JavaScript would have rounded what is beyond 2^53.
  const patch = body.patch === undefined ? undefined : memberText(written, 'patch');
  const given = Object.fromEntries(
    Object.entries({ ...body, patch }).filter(([, value]) => value !== undefined),
  ) as RedriveRequest;
  const { redrive, sample } = await createRedrives({ db: pool, name }).preview(given, { actor: who.name });
  return { ...redrive, sample: sample.map(withoutTexts) };
}

const summaries: Record<PacedAction, string> = {
  pause: 'Lets nothing more go until it is resumed.',
  resume: 'Goes on.',
  cancel: 'Ends it, or forgets a preview; what was not let go stays parked.',
};

const whoAsks = ({ who, body }: Call<unknown, z.infer<typeof why>>) => ({
  actor: who.name,
  onBehalf: true as const,
  ...(body.reason === undefined ? {} : { reason: body.reason }),
});

export const redriveActionEndpoints = [
  endpoint({
    method: 'POST',
    path: '/redrives',
    operationId: 'previewRedrive',
    summary: 'Freezes which open letters match; sends nothing. What is shown is what a start acts on.',
    need: 'act',
    body: request,
    handle: preview,
  }),
  endpoint({
    method: 'POST',
    path: '/redrives/{redrive}/start',
    operationId: 'startRedrive',
    summary: 'Starts a previewed one; a repeat changes nothing.',
    need: 'act',
    body: why,
    handle: async (call) => {
      const { temporal, name } = await call.operating.get();
      const redrives = createRedrives({ db: call.pool, name, temporal });
      return redrives.start(Number(call.params['redrive']), whoAsks(call));
    },
  }),
  ...pacedActions.map((action) =>
    endpoint({
      method: 'POST',
      path: `/redrives/{redrive}/${action}`,
      operationId: `${action}Redrive`,
      summary: summaries[action],
      need: 'act',
      body: why,
      handle: async (call) => {
        // PostgreSQL suffices; where Temporal is there, its workflow is told at once.
        const operated = await call.operating.get().catch(() => undefined);
        const redrives = createRedrives({
          db: call.pool,
          name: call.name,
          ...(operated === undefined ? {} : { temporal: operated.temporal }),
        });
        return redrives[action](Number(call.params['redrive']), whoAsks(call));
      },
    }),
  ),
];
