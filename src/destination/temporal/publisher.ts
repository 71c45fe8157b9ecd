import type { Client } from '@temporalio/client';
import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import { messageId } from '../../core/messageId.ts';
import type { Connections, Lease } from '../shared/connections.ts';
import { filled, refused } from '../shared/failures.ts';
import type { Publisher } from '../shared/pipelinedSender.ts';
import { Template } from '../shared/template.ts';
import { argumentOf } from './argument.ts';
import { failureOf } from './failures.ts';
import type { TemporalSettings } from './keys.ts';
import { TemporalConnection, UpdateFailed, type Server } from './server.ts';

const policies = {
  rejectDuplicate: 'REJECT_DUPLICATE',
  allowDuplicate: 'ALLOW_DUPLICATE',
  allowDuplicateFailedOnly: 'ALLOW_DUPLICATE_FAILED_ONLY',
} as const;

/** What an event starts, and under which names. */
interface Target {
  readonly type: string;
  readonly id: string;
  readonly taskQueue: string;
  /** Of the signal or update; '' where there is none. */
  readonly message: string;
}

export class TemporalPublisher implements Publisher {
  readonly #settings: TemporalSettings;
  readonly #server: Server;
  readonly #timeoutMs: number;
  readonly #lease: Lease<TemporalConnection>;

  constructor(settings: TemporalSettings, server: Server, timeoutMs: number, connections: Connections) {
    this.#settings = settings;
    this.#server = server;
    this.#timeoutMs = timeoutMs;
    this.#lease = connections.use(
      server.key,
      () => new TemporalConnection(server),
      (connection) => connection.close(),
    );
  }

  async publish(message: OutgoingMessage, attempt: { readonly done: boolean }): Promise<void> {
    const target = this.#targetOf(message);
    const { payload, headers } = argumentOf(this.#settings, message);
    const { RawValue } = await import('@temporalio/common');
    const args: [unknown] = [RawValue.fromPayload(payload)];
    try {
      const { connection, clientFor } = await this.#lease.connection.open();
      if (attempt.done) return;
      const client = clientFor(this.#server.namespace);
      const work = { client, target, args, headers, id: messageId(message.eventId, message.revision) };
      await connection.withDeadline(Date.now() + this.#timeoutMs, () => this.#carryOut(work));
    } catch (error) {
      throw failureOf(error, this.#server.label);
    }
  }

  describe(message: OutgoingMessage): SentRequest {
    const { type, id, taskQueue, message: name } = this.#targetOf(message);
    const { mode } = this.#settings;
    const how = name === '' ? mode : `${mode} ${name}`;
    return {
      address: `${this.#server.label}, ${how}: ${type} ${id} on task queue ${taskQueue}`,
      headers: argumentOf(this.#settings, message).headers,
    };
  }

  async check(): Promise<void> {
    try {
      const { connection } = await this.#lease.connection.open();
      await connection.withDeadline(Date.now() + this.#timeoutMs, () =>
        connection.workflowService.getSystemInfo({}),
      );
    } catch (error) {
      throw failureOf(error, this.#server.label);
    }
  }

  close(): Promise<void> {
    return this.#lease.release();
  }

  #targetOf(message: OutgoingMessage): Target {
    const { workflowType, activityType, workflowId, taskQueue, signal, update } = this.#settings;
    const fill = (written: string | null, what: string): string =>
      written === null ? '' : filled(new Template(written).fill(message), what);
    return {
      type: fill(workflowType ?? activityType, workflowType === null ? 'activity type' : 'workflow type'),
      id: fill(workflowId, 'workflow id'),
      taskQueue: fill(taskQueue, 'task queue'),
      message: fill(signal ?? update, signal === null ? 'update' : 'signal'),
    };
  }

  async #carryOut(work: Work): Promise<void> {
    const { client, target, args, headers, id } = work;
    const start = {
      taskQueue: target.taskQueue,
      workflowId: target.id,
      workflowIdReusePolicy: policies[this.#settings.idReuse],
      args,
      memo: headers,
    };
    switch (this.#settings.mode) {
      case 'start':
        await client.workflow.start(target.type, start).catch((error: unknown) => this.#isThere(work, error));
        return;
      case 'signalWithStart':
        await client.workflow.signalWithStart(target.type, {
          ...start,
          signal: target.message,
          signalArgs: args,
        });
        return;
      case 'updateWithStart':
        return this.#update(work, start, id);
      case 'activity':
        await client.activity
          .start(target.type, {
            id: target.id,
            taskQueue: target.taskQueue,
            args,
            startToCloseTimeout: this.#settings.startToCloseTimeoutMs,
            idReusePolicy: policies[this.#settings.idReuse],
          })
          .catch((error: unknown) => {
            if (!isNamed(error, 'ActivityExecutionAlreadyStartedError')) throw error;
          });
    }
  }

  /** A workflow of that id that is there already acknowledges, if it is of that type: a repeat of ours, or of the event's own kind. */
  async #isThere({ client, target }: Work, error: unknown): Promise<void> {
    if (!isNamed(error, 'WorkflowExecutionAlreadyStartedError')) throw error;
    const { type } = await client.workflow.getHandle(target.id).describe();
    if (type !== target.type)
      throw refused(
        'rejected',
        `${this.#server.label}: workflow ${target.id} is there, of type ${type} and not ${target.type}`,
      );
  }

  /** Accepted by the workflow's validator is acknowledged; what it says no to is refused for good. */
  async #update({ client, target, args }: Work, start: StartOptions, updateId: string): Promise<void> {
    const { WithStartWorkflowOperation } = await import('@temporalio/client');
    const operation = new WithStartWorkflowOperation(target.type, {
      ...start,
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    try {
      await client.workflow.startUpdateWithStart(target.message, {
        startWorkflowOperation: operation,
        waitForStage: 'ACCEPTED',
        updateId,
        args,
      });
    } catch (error) {
      if (!(error instanceof UpdateFailed)) throw error;
      const said = `update ${target.message} of ${target.id}: ${error.message}`;
      throw refused('rejected', `${this.#server.label}: ${said}`);
    }
  }
}

interface Work {
  readonly client: Client;
  readonly target: Target;
  readonly args: [unknown];
  readonly headers: Readonly<Record<string, string>>;
  readonly id: string;
}

type StartOptions = Parameters<Client['workflow']['start']>[1] & { readonly workflowId: string };

/** Its class may be there twice: of this package's copy of the SDK, and of the user's. */
function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
