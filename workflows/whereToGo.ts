/** Links for a person who finds something parked: within the Temporal UI, to the dashboard, to what the configuration names. */
import type { BatchSummary, HeldDelivery } from '../activities/index.ts';
import { causeUrl, letterUrl } from '../src/core/dashboard.ts';
import { likeWorkflowId, prefixOf } from '../src/core/ids.ts';
import { markdownLink, markdownText as plain } from '../src/core/markdown.ts';
import { parkedList, startPage } from '../src/core/temporalUi.ts';

/** Where the workflow is. */
export interface Place {
  readonly namespace: string;
  readonly taskQueue: string;
  /** Whether the namespace has our search attributes. */
  readonly searchAttributes: boolean;
}

/** Of so many kinds at most, the first of each: a batch may hold any number. */
const kindsShown = 3;

export function whereToGo(summary: BatchSummary, place: Place): string {
  const kinds = new Map<string, HeldDelivery>();
  for (const row of summary.rows) {
    const kind = `${row.destination} ${row.cause ?? ''}`;
    if (row.state === 'parked' && !kinds.has(kind)) kinds.set(kind, row);
  }
  const shown = [...kinds.values()].slice(0, kindsShown);
  if (shown.length === 0) return '';
  const destinations = [...new Set(shown.map(({ destination }) => destination))];
  return [
    '**Where to go on**',
    '',
    ...shown.flatMap((row) => [...like(row, place), ...onDashboard(row, summary)]),
    ...destinations.flatMap((destination) => ofDestination(destination, summary, place)),
  ].join('\n');
}

function like({ deadLetterId, destination }: HeldDelivery, { namespace, taskQueue }: Place): string[] {
  if (deadLetterId === null) return [];
  const workflowId = likeWorkflowId(prefixOf(taskQueue), deadLetterId);
  const address = startPage(namespace, { workflowType: 'redrive', taskQueue, workflowId });
  return [
    `- ${markdownLink('Redrive everything like it', address)}: all letters of ${plain(destination)} with the same cause. The page that opens is filled in; press *Start Workflow*. It is a preview: nothing is sent before you start that`,
  ];
}

function onDashboard({ deadLetterId, cause }: HeldDelivery, { links }: BatchSummary): string[] {
  const url = links?.dashboard ?? null;
  const letter = deadLetterId === null ? null : letterUrl({ url }, deadLetterId);
  const alike = cause === undefined || cause === null ? null : causeUrl({ url }, cause);
  const found = [
    ...(letter === null ? [] : [markdownLink('Its letter', letter)]),
    ...(alike === null ? [] : [markdownLink('all of its cause', alike)]),
  ];
  return found.length === 0 ? [] : [`- On the dashboard: ${found.join(', ')}`];
}

function ofDestination(destination: string, { links }: BatchSummary, place: Place): string[] {
  const runbook = links?.runbooks?.[destination];
  return [
    `- ${allParked(destination, place)}`,
    ...(runbook === undefined ? [] : [`- ${markdownLink(`Runbook of ${destination}`, runbook)}`]),
  ];
}

export function allParked(destination: string, { namespace, taskQueue, searchAttributes }: Place): string {
  const address = parkedList(namespace, prefixOf(taskQueue), destination, searchAttributes);
  return markdownLink(`All that is parked of ${destination}`, address);
}
