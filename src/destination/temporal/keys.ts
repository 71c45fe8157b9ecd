/** The keys of outbox.yaml for `type: temporal`. */
import * as z from 'zod';
import { bounds } from '../../settings/limits.ts';
import { duration, flag, oneOf, secret, section, text, type InputOf } from '../../settings/shapes.ts';
import { ms } from '../../settings/durations.ts';
import { credentialKeys } from '../shared/tls.ts';

const template = (what: string) => text({ min: 1, max: 1000 }, what);

export const modes = ['start', 'signalWithStart', 'updateWithStart', 'activity'] as const;
export type Mode = (typeof modes)[number];

export const temporalKeys = {
  mode: oneOf(modes).optional().describe('What an event does. Default start.'),
  workflowType: template('a workflow type').optional().describe('A template. For all modes but activity.'),
  activityType: template('an activity type').optional().describe('A template. For mode activity.'),
  taskQueue: template('a task queue').describe('A template.'),
  workflowId: template('a workflow id')
    .optional()
    .describe("A template. Default '{id}': a workflow for each event. For mode activity, the activity's id."),
  signal: template('the name of a signal').optional().describe('A template. For mode signalWithStart.'),
  update: template('the name of an update').optional().describe('A template. For mode updateWithStart.'),
  input: oneOf(['event', 'payload'])
    .optional()
    .describe('The one argument: { id, type, key, …, data }, or the payload alone. Default event.'),
  idReuse: oneOf(['rejectDuplicate', 'allowDuplicate', 'allowDuplicateFailedOnly'])
    .optional()
    .describe(
      'When a workflow of that id has ended. Default rejectDuplicate for start and activity, else allowDuplicate.',
    ),
  startToCloseTimeout: duration(bounds.waitMs).optional().describe('Of an activity. Default 10m.'),
  address: text(bounds.urlLength, 'host:port')
    .optional()
    .describe('host:port. Default: the Temporal of this process (TEMPORAL_ADDRESS and the like).'),
  namespace: text({ min: 1, max: 255 }, 'a namespace')
    .optional()
    .describe('Default: that of this process, or default.'),
  apiKey: secret().optional().describe('env:NAME. Beside address.'),
  tls: z
    .union(
      [
        flag(),
        section({
          ca: credentialKeys.ca,
          cert: credentialKeys.cert,
          key: credentialKeys.key,
          serverName: text({ min: 1, max: 255 }, 'a host name').optional(),
        }),
      ],
      { error: 'expected true, false or a mapping with ca, cert, key' },
    )
    .optional()
    .describe('Beside address. Default: as apiKey is there or not.'),
};

export type TemporalInput = InputOf<typeof temporalKeys>;

export interface TemporalSettings {
  readonly mode: Mode;
  /** Of a workflow or an activity. */
  readonly workflowType: string | null;
  readonly activityType: string | null;
  readonly taskQueue: string;
  readonly workflowId: string;
  readonly signal: string | null;
  readonly update: string | null;
  readonly input: 'event' | 'payload';
  readonly idReuse: 'rejectDuplicate' | 'allowDuplicate' | 'allowDuplicateFailedOnly';
  readonly startToCloseTimeoutMs: number;
  readonly address: string | null;
  readonly namespace: string | null;
  readonly apiKey: string | null;
  readonly tls: {
    readonly ca: string | null;
    readonly cert: string | null;
    readonly key: string | null;
    readonly serverName: string | null;
  } | null;
}

export function normaliseTemporal(input: TemporalInput): TemporalSettings {
  const { mode = 'start', tls } = input;
  const secure = tls ?? input.apiKey !== undefined;
  const parts = typeof secure === 'object' ? secure : {};
  return {
    mode,
    workflowType: input.workflowType ?? null,
    activityType: input.activityType ?? null,
    taskQueue: input.taskQueue,
    workflowId: input.workflowId ?? '{id}',
    signal: input.signal ?? null,
    update: input.update ?? null,
    input: input.input ?? 'event',
    idReuse:
      input.idReuse ?? (mode === 'start' || mode === 'activity' ? 'rejectDuplicate' : 'allowDuplicate'),
    startToCloseTimeoutMs: ms(input.startToCloseTimeout, 600_000),
    address: input.address ?? null,
    namespace: input.namespace ?? null,
    apiKey: input.apiKey ?? null,
    tls:
      secure === false
        ? null
        : {
            ca: parts.ca ?? null,
            cert: parts.cert ?? null,
            key: parts.key ?? null,
            serverName: parts.serverName ?? null,
          },
  };
}
