import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import { taskQueueName, workflowPrefix } from '../core/ids.ts';
import { OutboxError } from '../errors.ts';
import { searchAttributeNames } from '../../workflows/attributes.ts';
import { isMark, markSignal } from '../../workflows/contract.ts';
import type { Temporal } from './connect.ts';
import { grpcCodeOf, grpcStatus, innermostWords, isWithheld } from './grpc.ts';
import { unreachable } from './unreachable.ts';

export interface NamespaceFacts {
  /** Differs from store to store, even of one name: a wiped or wrong server is noticed by it. */
  readonly id: string;
  /** Whether all three of our search attributes are registered, as Keywords. */
  readonly hasSearchAttributes: boolean;
}

/** @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE, also when the namespace does not exist */
export async function inspectNamespace(temporal: Temporal): Promise<NamespaceFacts> {
  const id = await namespaceIdOf(temporal);
  return { id, hasSearchAttributes: await hasSearchAttributes(temporal).catch(() => false) };
}

/** How long completed workflows are kept, milliseconds; null where the server does not say. */
export async function readNamespaceRetention({ connection, namespace }: Temporal): Promise<number | null> {
  const { config } = await connection.workflowService.describeNamespace({ namespace });
  const seconds = config?.workflowExecutionRetentionTtl?.seconds;
  return seconds === undefined || seconds === null ? null : Number(seconds) * 1000;
}

/**
 * Without the right to list them, or on a server that does not offer it, we do without.
 * @throws what the client throws when Temporal does not answer
 */
export async function hasSearchAttributes({ connection, namespace }: Temporal): Promise<boolean> {
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const keyword = 2; // temporal.api.enums.v1.IndexedValueType;
    return searchAttributeNames.every((name) => Number(customAttributes?.[name]) === keyword);
  } catch (error) {
    const code = grpcCodeOf(error);
    if (code === grpcStatus.permissionDenied || code === grpcStatus.unimplemented) return false;
    throw error;
  }
}

/** @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE */
export async function namespaceIdOf({ connection, namespace, address }: Temporal): Promise<string> {
  try {
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace });
    return namespaceInfo?.id ?? '';
  } catch (error) {
    throw unusable({ address: `${address}, namespace ${namespace}` }, 'DescribeNamespace', error);
  }
}

/** A call of ours that did not go well: Temporal may go away between any two of them, which is no other thing than being away. */
function unusable({ address }: Pick<Temporal, 'address'>, call: string, error: unknown): OutboxError {
  return isWithheld(error) ? cannotLook(address, call, error) : unreachable(address, error);
}

/** It answers, and refuses what says whose store this is. */
function cannotLook(where: string, call: string, cause: unknown): OutboxError {
  return new OutboxError(
    'OUTBOX_TEMPORAL_UNREACHABLE',
    `cannot use Temporal at ${where}: ${innermostWords(cause)}`,
    {
      cause,
      hint: `It answers, and refuses ${call}, without which nobody can tell whose workflows these are: ask for that right, or a higher limit.`,
    },
  );
}

/** A database as the namespace remembers it. */
export interface Claimant {
  readonly databaseId: string;
  /** A new mark of the database, to be left in the namespace. */
  readonly mark: string;
  /** Whether the database made the mark that is there. */
  readonly knows: (mark: string) => Promise<boolean>;
  /** Told of a mark there that no database made: somebody signalled it by hand. */
  readonly warn: (message: string) => void;
  /** Whether it was confirmed that an earlier state of the database is what goes on. */
  readonly restored?: boolean;
}

/**
 * Marks the namespace as this database's, under this name: two databases under one name would fight over workflow ids. What is
 * remembered is the memo of a small workflow that runs for good.
 * @throws OutboxError OUTBOX_TEMPORAL_MISMATCH when another database was here first, OUTBOX_DATABASE_RESTORED when a later state
 *   of this one was
 */
export async function claimNamespace(
  temporal: Temporal,
  name: string | null,
  claimant: Claimant,
): Promise<void> {
  const { databaseId, mark, restored } = claimant;
  const workflowId = `${workflowPrefix(name)}housekeeping`;
  if (restored === true) await requireClaim(temporal, name, claimant);
  try {
    await temporal.client.workflow.start('housekeeping', {
      workflowId,
      taskQueue: taskQueueName(name),
      memo: { databaseId, mark },
      args: [],
      // A signal would wait for a worker, and none may run yet.
      ...(restored === true ? { workflowIdConflictPolicy: 'TERMINATE_EXISTING' as const } : {}),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError))
      throw unusable(temporal, 'StartWorkflowExecution', error);
    await requireSame(temporal, workflowId, name, claimant);
    await temporal.client.workflow
      .getHandle(workflowId)
      .signal(markSignal, mark)
      .catch((refused: unknown) => {
        throw unusable(temporal, 'SignalWorkflowExecution', refused);
      });
  }
}

/** Looks, and changes nothing. @throws OutboxError as {@link claimNamespace} */
export async function requireClaim(
  temporal: Temporal,
  name: string | null,
  claimant: Omit<Claimant, 'mark'>,
): Promise<void> {
  try {
    await requireSame(temporal, `${workflowPrefix(name)}housekeeping`, name, claimant);
  } catch (error) {
    // Ended by somebody: the next start makes it again.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

async function requireSame(
  temporal: Temporal,
  workflowId: string,
  name: string | null,
  { databaseId, knows, restored, warn }: Omit<Claimant, 'mark'>,
): Promise<void> {
  const { memo } = await temporal.client.workflow
    .getHandle(workflowId)
    .describe()
    .catch((error: unknown) => {
      // Whoever asks knows what it means.
      if (error instanceof WorkflowNotFoundError) throw error;
      throw unusable(temporal, 'DescribeWorkflowExecution', error);
    });
  if (memo?.['databaseId'] !== databaseId) {
    throw new OutboxError(
      'OUTBOX_TEMPORAL_MISMATCH',
      `namespace ${temporal.namespace} at ${temporal.address} serves another database under the name ${name ?? '(none)'}`,
      {
        hint:
          `Give this database a name of its own (temporal-outbox config rename NAME, then name: NAME in outbox.yaml) or a namespace of its own. ` +
          `If the other database is gone for good, terminate the workflow ${workflowId} and start again.`,
      },
    );
  }
  const found = memo['mark'];
  if (restored === true || found === undefined) return;
  if (!isMark(found)) {
    warn(`the workflow ${workflowId} holds a mark that no database made: it is replaced by a new one`);
  } else if (!(await knows(found)))
    throw restoredDatabase('a later state of this database has worked with this namespace');
}

/** What was done since the copy is not in it, and its twin may still be at work: a person has to say which one goes on. */
export function restoredDatabase(why: string): OutboxError {
  return new OutboxError(
    'OUTBOX_DATABASE_RESTORED',
    `this database was restored from a copy, or is a copy beside the first: ${why}`,
    {
      hint:
        'If this is the one to go on with, stop all processes of the other and run: temporal-outbox doctor --restored. ' +
        'If it is a second one beside the first, do not: give it a namespace of its own.',
    },
  );
}
