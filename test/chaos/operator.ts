/** A person who resolves dead letters, in a hurry: every command is sent more than once, some by signal, some by the CLI, some as redrives. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { ResolutionAction } from '../../src/core/command.ts';
import { createOperator, type Resolution } from '../../src/deadletter/operator.ts';
import { openDeadLetters, type OpenLetter } from './database.ts';
import { connectTemporal } from '../../src/temporal/connect.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';
import { endRedrives, startRedrive } from './redriver.ts';
import type { World } from './world.ts';

export interface Person {
  /** Looks for dead letters no more. */
  stop(): Promise<void>;
}

const everyMs = 1_000;
const atOnce = 10;
const answerMs = 8_000;
/** One redrive for so many looks; the last of them before it leave what is parked to it. */
const redriveEvery = 8;
const leftToIt = 4;

export function startPerson(world: World, history: History, random: Random): Person {
  let stopping = false;
  let commands = 0;
  let looks = 0;
  const tried = new Map<number, number>();
  const working = (async () => {
    while (!stopping) {
      await sleep(everyMs);
      if (++looks % redriveEvery === 0)
        await startRedrive(world, history, random, `chaos-redrive-${commands++}`).catch(() => undefined);
      if (looks % redriveEvery === 0 || looks % redriveEvery > redriveEvery - leftToIt) continue;
      const letters = await openDeadLetters(world.databases.outbox).catch(() => []);
      // One whose command got lost on its way is tried again after a while.
      const due = letters.filter(({ id }) => Date.now() - (tried.get(id) ?? 0) > 15_000).slice(0, atOnce);
      await Promise.all(
        due.map((letter) => {
          tried.set(letter.id, Date.now());
          return resolve(world, history, random, letter, commands++).catch(() => undefined);
        }),
      );
    }
  })();
  return {
    stop: async () => {
      stopping = true;
      await working;
      await endRedrives(world);
    },
  };
}

async function resolve(
  world: World,
  history: History,
  random: Random,
  letter: OpenLetter,
  number: number,
): Promise<void> {
  const action = random.pick<ResolutionAction>(['retry', 'edit', 'redirect', 'discard']);
  const details = {
    retry: {},
    edit: { payload: { corrected: number } },
    redirect: { to: 'spare' },
    discard: { reason: 'chaos' },
  }[action];
  const times = random.between(2, 3);
  const commandId = `chaos-${number}`;
  history.note({ what: 'command', commandId, letter: letter.id, event: letter.event, action, times });
  if (action !== 'edit' && random.next() < 0.3) return byOperator(world, letter, action, times);
  const connection = await Connection.connect({ address: world.temporalAddress, connectTimeout: 3_000 });
  try {
    const handle = new Client({ connection }).workflow.getHandle(letter.workflowId);
    for (let time = 0; time < times; time++) {
      await connection.withDeadline(Date.now() + answerMs, () =>
        handle.signal(action, { ...details, event: letter.event, actor: 'chaos', commandId }),
      );
    }
  } finally {
    await connection.close();
  }
}

/** As the CLI does, an id of its own for each time: the second finds nothing parked. */
async function byOperator(
  { databases, temporalAddress, name }: World,
  { id, event, destination, workflowId }: OpenLetter,
  action: ResolutionAction,
  times: number,
): Promise<void> {
  const temporal = await connectTemporal({
    address: temporalAddress,
    namespace: 'default',
    ignoreEnvironment: true,
  });
  try {
    const operator = await createOperator({
      db: databases.outbox,
      temporal,
      name,
      searchAttributes: true,
      timeoutMs: answerMs,
    });
    const target = { id, eventId: event, destination, workflowId };
    const to = action === 'redirect' ? { to: 'spare' } : {};
    const resolution: Resolution = { action, actor: 'chaos', reason: 'chaos', ...to };
    await Promise.allSettled(
      Array.from({ length: times }, () => operator.resolveDeadLetter(target, resolution)),
    );
  } finally {
    await temporal.close();
  }
}
