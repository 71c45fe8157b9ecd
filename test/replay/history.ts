import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { format } from 'prettier';
import type { Execution } from './scenarios.ts';

export const historiesDirectory = new URL('./histories/', import.meta.url);
export const workflowBundle = {
  codePath: fileURLToPath(new URL('../../dist/workflow-bundle.js', import.meta.url)),
};

const { History } = temporal.api.history.v1;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Recorded {
  readonly workflowId: string;
  readonly history: object;
}

/** An execution's history as JSON, without what tells of the machine that made it. */
export async function record(client: Client, { workflowId, runId }: Execution): Promise<string> {
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  // Not the SDK's historyToJSON: it fails where npm gives two of its packages a protobufjs each, as it does here.
  const plain = History.toObject(History.fromObject(history), {
    longs: String,
    enums: String,
    bytes: String,
  }) as Json;
  return format(JSON.stringify({ workflowId, history: anonymous(plain) }), {
    parser: 'json',
    printWidth: 110,
  });
}

/** The recorded history as `Worker.runReplayHistory` takes it. */
export function parseRecorded(text: string): {
  workflowId: string;
  history: temporal.api.history.v1.History;
} {
  const { workflowId, history } = JSON.parse(text) as Recorded;
  return { workflowId, history: History.fromObject(history) };
}

/** Names of processes and hosts go (`1234@host` in identities, and in the names of sticky queues); ids and times stay. */
function anonymous(value: Json): Json {
  if (typeof value === 'string') return value.replace(/^\d+@.*$/, 'worker');
  if (Array.isArray(value)) return value.map(anonymous);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, anonymous(entry)]));
}
