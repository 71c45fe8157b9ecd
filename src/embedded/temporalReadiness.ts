import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import type { KeptChild } from './children.ts';
import { startError } from './startError.ts';

export type SearchAttributeType = 'Text' | 'Keyword' | 'Int' | 'Double' | 'Bool' | 'Datetime' | 'KeywordList';

const readyMsMax = 60_000;
const patienceMs = 5_000;

/** True once the frontend knows the namespace, false when the server ended. */
export async function becomesReady(
  child: KeptChild,
  port: number,
  namespace: string,
  onProgress: (line: string) => void,
): Promise<boolean> {
  const began = Date.now();
  let nextWord = began + patienceMs;
  while (child.exit() === null) {
    if (await knowsNamespace(port, namespace)) return true;
    if (Date.now() > began + readyMsMax) {
      await child.stop();
      throw startError(`The Temporal server was not ready within ${readyMsMax / 1_000} s`, child.lastLines());
    }
    if (Date.now() > nextWord) {
      nextWord += patienceMs;
      onProgress(`Waiting for the Temporal server (${Math.round((Date.now() - began) / 1_000)} s)`);
    }
    await sleep(25);
  }
  return false;
}

async function knowsNamespace(port: number, namespace: string): Promise<boolean> {
  return withConnection(port, (connection) =>
    connection.workflowService.describeNamespace({ namespace }),
  ).then(
    () => true,
    () => false,
  );
}

const indexedValueTypes: Readonly<Record<SearchAttributeType, number>> = {
  Text: 1,
  Keyword: 2,
  Int: 3,
  Double: 4,
  Bool: 5,
  Datetime: 6,
  KeywordList: 7,
};

/**
 * Registers what lacks. The server does that itself for the namespaces it creates, but leaves those it finds in a data
 * file as they are. What was added is usable only some seconds later, when its caches follow; so that is waited for.
 */
export async function ensureSearchAttributes(
  port: number,
  namespace: string,
  wanted: Readonly<Record<string, SearchAttributeType>>,
  onProgress: (line: string) => void,
): Promise<void> {
  if (Object.keys(wanted).length === 0) return;
  await withConnection(port, async ({ operatorService }) => {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const missing = Object.entries(wanted).filter(([name]) => !(name in customAttributes));
    if (missing.length === 0) return;
    onProgress(`Adding search attributes to Temporal: ${missing.map(([name]) => name).join(', ')}`);
    const types = missing.map(([name, type]) => [name, indexedValueTypes[type]] as const);
    await operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(types) });
  });
  const query = Object.keys(wanted)
    .map((name) => `${name} IS NULL`)
    .join(' OR ');
  await untilUsable(port, namespace, query);
}

const usableMsMax = 30_000;

async function untilUsable(port: number, namespace: string, query: string): Promise<void> {
  const deadline = Date.now() + usableMsMax;
  for (;;) {
    try {
      await withConnection(port, ({ workflowService }) =>
        workflowService.countWorkflowExecutions({ namespace, query }),
      );
      return;
    } catch (cause) {
      if (Date.now() > deadline) throw cause;
    }
    await sleep(100);
  }
}

const callMsMax = 10_000;

async function withConnection<T>(port: number, call: (connection: Connection) => Promise<T>): Promise<T> {
  // Without the default interceptor, whose retries back off for longer than a start takes.
  const connection = Connection.lazy({ address: `127.0.0.1:${port}`, tls: false, interceptors: [] });
  try {
    return await connection.withDeadline(Date.now() + callMsMax, () => call(connection));
  } finally {
    await connection.close();
  }
}
