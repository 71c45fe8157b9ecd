/** A person who lets dead letters go by redrives, in a hurry too: each is started more than once. */
import { Client, Connection } from '@temporalio/client';
import type { RedriveRequest } from '../../src/core/redrive.ts';
import { taskQueueName } from '../../src/core/ids.ts';
import { createRedrives, type Redrives } from '../../src/redrive/index.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

const answerMs = 8_000;

/** Of everything that is parked at a destination, or of one of its causes. */
export async function startRedrive(
  world: World,
  history: History,
  random: Random,
  commandId: string,
): Promise<void> {
  const request = await requestFor(world, random);
  if (request === undefined) return;
  const times = random.between(2, 3);
  const connection = await Connection.connect({ address: world.temporalAddress, connectTimeout: 3_000 });
  try {
    const client = new Client({ connection });
    if (random.next() < 0.3) {
      await connection.withDeadline(Date.now() + answerMs, () =>
        client.workflow.start('redrive', {
          workflowId: `${world.name}/${commandId}`,
          taskQueue: taskQueueName(world.name),
          args: [{ ...request, start: true, actor: 'chaos' }],
        }),
      );
      return;
    }
    const redrives = redrivesOf(world, client);
    const { redrive } = await redrives.preview(request, { actor: 'chaos' });
    history.note({ what: 'command', commandId, letter: 0, event: '', action: 'start', times });
    const start = () => redrives.start(redrive.id, { actor: 'chaos', reason: 'chaos', commandId });
    await Promise.allSettled(Array.from({ length: times }, start));
    if (random.next() < 0.2) {
      await redrives.pause(redrive.id, { actor: 'chaos' });
      await redrives.resume(redrive.id, { actor: 'chaos' });
    }
  } finally {
    await connection.close();
  }
}

/** Nothing of what they have not let go yet. */
export async function endRedrives(world: World): Promise<void> {
  const redrives = redrivesOf(world);
  for (const { id, endedAt } of await redrives.list(1_000))
    if (endedAt === null) await redrives.cancel(id, { actor: 'chaos' }).catch(() => undefined);
}

function redrivesOf({ databases, name, temporalAddress: address }: World, client?: Client): Redrives {
  return createRedrives({
    db: databases.outbox,
    name,
    ...(client === undefined ? {} : { temporal: { client, address } }),
  });
}

async function requestFor({ databases }: World, random: Random): Promise<RedriveRequest | undefined> {
  const { rows } = await databases.outbox.query<{ destination: string; cause: string | null }>(
    'select destination, cause from outbox.dead_letters where resolved_at is null group by 1, 2 order by 1, 2',
  );
  const [first, ...others] = rows;
  if (first === undefined) return undefined;
  const { destination, cause } = random.pick([first, ...others]);
  const which = cause === null || random.next() < 0.5 ? { destination } : { destination, cause };
  const pace = random.next() < 0.5 ? { steps: [2, 10] } : { steps: [1], rate: 20 };
  return { ...which, ...pace, maxFailures: 0.9, ...actionOf(random), reason: 'chaos' };
}

function actionOf(random: Random): Partial<RedriveRequest> {
  return random.weighted<Partial<RedriveRequest>>([
    [4, { action: 'retry' }],
    [3, { action: 'edit', patch: [{ op: 'replace', path: '', value: { corrected: true } }] }],
    [1, { action: 'discard' }],
  ]);
}
