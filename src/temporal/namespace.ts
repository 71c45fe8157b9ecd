import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { taskQueueName, workflowPrefix } from '../core/ids.ts';
import { OutboxError } from '../errors.ts';
import { searchAttributeNames } from '../../workflows/attributes.ts';
import { unreachable, type Temporal } from './connect.ts';

export interface NamespaceFacts {
  /** Differs from store to store, even of one name: a wiped or wrong server is noticed by it. */
  readonly id: string;
  /** Whether all three of our search attributes are registered, as Keywords. */
  readonly hasSearchAttributes: boolean;
}

/** @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE, also when the namespace does not exist */
export async function inspectNamespace(temporal: Temporal): Promise<NamespaceFacts> {
  const { connection, namespace, address } = temporal;
  try {
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace });
    return { id: namespaceInfo?.id ?? '', hasSearchAttributes: await hasSearchAttributes(temporal) };
  } catch (error) {
    throw unreachable(`${address}, namespace ${namespace}`, error);
  }
}

/**
 * The id of the namespace as the server has it now, within `deadlineMs`.
 * @throws OutboxError OUTBOX_TEMPORAL_UNREACHABLE
 */
export async function readNamespaceId(
  { connection, namespace, address }: Temporal,
  deadlineMs: number,
): Promise<string> {
  try {
    const { namespaceInfo } = await connection.withDeadline(Date.now() + deadlineMs, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
    return namespaceInfo?.id ?? '';
  } catch (error) {
    throw unreachable(`${address}, namespace ${namespace}`, error);
  }
}

/** Without the right to list them (or on a server that does not offer it) we do without. */
async function hasSearchAttributes({ connection, namespace }: Temporal): Promise<boolean> {
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const keyword = 2; // temporal.api.enums.v1.IndexedValueType;
    return searchAttributeNames.every((name) => Number(customAttributes?.[name]) === keyword);
  } catch {
    return false;
  }
}

/**
 * Marks the namespace as this database's, under this name: two databases under one name would fight over workflow ids. The
 * mark is the memo of a small workflow that runs for good.
 * @throws OutboxError OUTBOX_TEMPORAL_MISMATCH when another database was here first
 */
export async function claimNamespace(
  temporal: Temporal,
  name: string | null,
  databaseId: string,
): Promise<void> {
  const workflowId = `${workflowPrefix(name)}housekeeping`;
  try {
    await temporal.client.workflow.start('housekeeping', {
      workflowId,
      taskQueue: taskQueueName(name),
      memo: { databaseId },
      args: [],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw unreachable(temporal.address, error);
    const { memo } = await temporal.client.workflow.getHandle(workflowId).describe();
    const owner = memo?.['databaseId'];
    if (owner === databaseId) return;
    throw new OutboxError(
      'OUTBOX_TEMPORAL_MISMATCH',
      `namespace ${temporal.namespace} at ${temporal.address} serves another database under the name ${name ?? '(none)'}`,
      {
        hint:
          `Give this database a name of its own (name: … in outbox.yaml) or a namespace of its own. ` +
          `If the other database is gone for good, terminate the workflow ${workflowId} and start again.`,
      },
    );
  }
}
