import type { DestinationAction } from '../../core/command.ts';
import type { DestinationConfig } from '../../core/destination.ts';
import { destinationWorkflowId } from '../../core/ids.ts';
import { timetable } from '../../core/retry.ts';
import { sendDestinationCommand } from '../../circuit/command.ts';
import { OutboxError } from '../../errors.ts';
import { readDestinations } from '../../storage/configuration.ts';
import { endpoint, type Services } from '../endpoint.ts';
import { why } from '../inputs.ts';
import { answerWithinMs } from '../operating.ts';

/** The overview's numbers, and how each is treated. */
async function listed({ pool, name, overview, workflowUrl }: Services) {
  const [{ at, destinations }, stored] = await Promise.all([overview(), readDestinations(pool)]);
  const configs = new Map(stored.destinations.map((config) => [config.name, config]));
  const items = destinations.map((standing) => {
    const config = configs.get(standing.destination);
    const workflowId = destinationWorkflowId(name, standing.destination);
    return {
      ...standing,
      workflowId,
      // It runs only while the destination is paused or its circuit is not closed.
      workflowUrl: standing.state === 'closed' ? null : workflowUrl(workflowId),
      policy: config === undefined ? null : policyOf(config),
    };
  });
  return { at, items };
}

function policyOf(config: DestinationConfig) {
  const attempts = timetable(config.retry);
  return {
    type: config.type,
    timeoutMs: config.timeoutMs,
    concurrency: config.concurrency,
    rateLimit: config.rateLimit,
    ordering: config.ordering,
    onPark: config.ordering === 'key' ? config.onPark : null,
    /** Of an event that is refused every time. */
    attempts,
    jitter: config.retry.jitter,
  };
}

const actions = [
  ['pause', 'Sends nothing to it until it is resumed; what comes waits.'],
  ['resume', 'Ends a pause, or closes its circuit without waiting for a probe.'],
  ['probe', 'Asks it now whether it is well, without waiting for the time of the next probe.'],
] as const satisfies readonly (readonly [DestinationAction, string])[];

async function command(
  call: Services & { readonly destination: string; readonly actor: string },
  action: DestinationAction,
  reason: string | undefined,
) {
  const { pool, operating, destination, actor } = call;
  const { destinations } = await readDestinations(pool);
  const config = destinations.find(({ name }) => name === destination);
  if (config === undefined)
    throw new OutboxError('OUTBOX_NOT_FOUND', `there is no destination ${destination}`);
  const { temporal, name, searchAttributes } = await operating.get();
  const { timeoutMs } = config;
  const { outcome, message } = await sendDestinationCommand(
    { db: pool, temporal, name, destination, timeoutMs, searchAttributes, waitMs: answerWithinMs },
    action,
    { actor, ...(reason === undefined ? {} : { reason }) },
  );
  if (outcome === 'refused') throw new OutboxError('OUTBOX_COMMAND_REFUSED', message);
  return { destination, action, outcome, message };
}

export const destinationEndpoints = [
  endpoint({
    method: 'GET',
    path: '/destinations',
    operationId: 'listDestinations',
    summary: 'Each destination: circuit, counts, the last hour, its policy and timetable of attempts.',
    need: 'look',
    handle: listed,
  }),
  ...actions.map(([action, summary]) =>
    endpoint({
      method: 'POST',
      path: `/destinations/{destination}/${action}`,
      operationId: `${action}Destination`,
      summary,
      need: 'act',
      body: why,
      handle: (call) =>
        command(
          { ...call, destination: call.params['destination'] ?? '', actor: call.who.name },
          action,
          call.body.reason,
        ),
    }),
  ),
];
