/** A database with `billing`, whose receiver is told how to answer, and `healthy`, which always acknowledges. */
import { WithStartWorkflowOperation, type Client } from '@temporalio/client';
import { expect } from 'vitest';
import type { ResolutionAnswer } from '../../activities/index.ts';
import type { DestinationAction, DestinationInput } from '../../src/core/command.ts';
import { destinationUpdates } from '../../workflows/contract.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import { readStanding, type DestinationStanding } from '../../src/storage/circuits.ts';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  startReceiver,
  startRun,
  temporalClient,
  type Answer,
  type Patience,
  type Receiver,
  type Script,
  type TestDatabase,
  type TestRun,
} from '../support/index.ts';

type Fields = Readonly<Record<string, unknown>>;
type Payload = Fields | ((number: number) => Fields);

export interface Stage {
  readonly database: TestDatabase;
  readonly client: Client;
  readonly billing: Receiver;
  readonly healthy: Receiver;
  readonly running: TestRun | null;
  /** `destination/billing`, with the database's name before it. */
  readonly workflowId: string;
  /** Writes events for `billing` in one transaction; answers their ids. The payload may differ by the event's number, from 0. */
  send(count: number, payload?: Payload): Promise<string[]>;
  sendHealthy(count: number): Promise<string[]>;
  standing(): Promise<DestinationStanding>;
}

export interface StageOptions {
  readonly answer?: Answer | Script;
  /** More keys of the circuit, as YAML flow entries. */
  readonly circuit?: string;
  /** Default 300ms, and no interval above a second; null: as the product has it by default. */
  readonly probeAfter?: string | null;
  /** More keys of `billing`. */
  readonly billing?: string;
  /** False: nothing of ours runs yet. */
  readonly run?: boolean;
}

export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const [database, billing, healthy, client] = await Promise.all([
    createTestDatabase(),
    startReceiver({ answer: options.answer ?? 204 }),
    startReceiver(),
    temporalClient(),
  ]);
  await applyTestConfig(database, configOf(billing.url, healthy.url, options));
  const running = options.run === false ? null : await startRun({ databaseUrl: database.url });
  const write = async (type: string, count: number, payload: Payload = {}): Promise<string[]> => {
    const payloadOf = (number: number): Fields => (typeof payload === 'function' ? payload(number) : payload);
    const events = Array.from({ length: count }, (_, number) => ({
      type,
      payload: { number, ...payloadOf(number) },
    }));
    return (await enqueue(database.pool, events, { ownTransaction: true })).map(({ id }) => id);
  };
  return {
    database,
    client,
    billing,
    healthy,
    running,
    workflowId: `${database.name}/destination/billing`,
    send: (count, payload) => write('order.created', count, payload),
    sendHealthy: (count) => write('other.created', count),
    standing: async () => {
      const standing = await readStanding(database.pool, 'billing');
      if (standing === undefined) throw new Error('there is no destination billing');
      return standing;
    },
  };
}

export function configOf(billingUrl: string, healthyUrl: string, options: StageOptions = {}): string {
  const { probeAfter } = options;
  const probes =
    probeAfter === undefined
      ? 'probeAfter: 300ms, maximumProbeInterval: 1s'
      : probeAfter === null
        ? ''
        : `probeAfter: ${probeAfter}, maximumProbeInterval: ${probeAfter}`;
  const circuit = [probes, options.circuit].filter(Boolean).join(', ');
  const more = options.billing === undefined ? '' : `, ${options.billing}`;
  return `
    destinations:
      billing: { type: http, url: '${billingUrl}', circuit: { ${circuit} }${more} }
      healthy: { type: http, url: '${healthyUrl}' }
    routes:
      - { match: 'order.*', to: [billing] }
      - { match: 'other.*', to: [healthy] }`;
}

/** A command to `billing`, as the command line sends it: its workflow is started where there is none. */
export async function command(
  { client, workflowId, database }: Stage,
  action: DestinationAction,
  input: DestinationInput = {},
): Promise<ResolutionAnswer> {
  return client.workflow.executeUpdateWithStart(destinationUpdates[action], {
    args: [input],
    startWorkflowOperation: new WithStartWorkflowOperation('destination', {
      workflowId,
      taskQueue: database.taskQueue,
      args: [{ name: 'billing', timeoutMs: 15_000, searchAttributes: false }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
  });
}

/** Waits until the destination stands so; the names of states, or `paused`. */
export async function stands(
  stage: Pick<Stage, 'standing'>,
  state: 'closed' | 'open' | 'half-open' | 'paused',
  patience?: Patience,
): Promise<DestinationStanding> {
  return eventually(async () => {
    const standing = await stage.standing();
    expect(standing.paused ? 'paused' : standing.state).toBe(state);
    return standing;
  }, patience);
}

export async function allDelivered(
  database: TestDatabase,
  ids: readonly string[],
  patience?: Patience,
): Promise<void> {
  await eventually(async () => {
    const rows = await database.rows<{ state: string | null; delivered: boolean; n: number }>(
      `select d.state, a.event_id is not null as delivered, count(*)::int as n from unnest($1::uuid[]) u(id)
       left join outbox.deliveries d on d.event_id = u.id left join outbox.delivered a on a.event_id = u.id
       group by 1, 2`,
      [ids],
    );
    expect(rows).toEqual([{ state: null, delivered: true, n: ids.length }]);
  }, patience);
}

/** Workflows of this database that run now, by type. */
export async function openWorkflows({ client, database }: Stage): Promise<Record<string, number>> {
  const open: Record<string, number> = {};
  const query = `TaskQueue = "${database.taskQueue}" AND ExecutionStatus = "Running"`;
  for await (const { type } of client.workflow.list({ query })) open[type] = (open[type] ?? 0) + 1;
  return open;
}

export async function charged(database: TestDatabase): Promise<number> {
  const [row] = await database.rows<{ n: number }>(
    'select count(*)::int as n from outbox.attempts where charged',
  );
  return row?.n ?? 0;
}

export async function deadLetters(database: TestDatabase): Promise<number> {
  const [row] = await database.rows<{ n: number }>('select count(*)::int as n from outbox.dead_letters');
  return row?.n ?? 0;
}

export async function auditOf(
  database: TestDatabase,
): Promise<
  { action: string; outcome: string; message: string; actor: string | null; reason: string | null }[]
> {
  return database.rows('select action, outcome, message, actor, reason from outbox.audit order by id');
}
