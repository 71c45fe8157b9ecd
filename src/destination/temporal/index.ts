import { describeDuration } from '../../core/duration.ts';
import { explainedTemplate } from '../shared/explainedTemplate.ts';
import { preparedBy } from '../shared/prepared.ts';
import type { DestinationType } from '../type.ts';
import { inspectTemporal } from './inspect.ts';
import { normaliseTemporal, temporalKeys, type TemporalInput, type TemporalSettings } from './keys.ts';
import { TemporalPublisher } from './publisher.ts';
import { checkTemporal } from './rules.ts';
import { prepareServer } from './server.ts';

/** `type: temporal`: a workflow, signal, update or activity for each delivery, acknowledged when Temporal has it. */
export const temporal: DestinationType<TemporalSettings> = {
  name: 'temporal',
  keys: temporalKeys,
  defaults: { concurrency: 100 },
  templates: ['workflowType', 'activityType', 'taskQueue', 'workflowId', 'signal', 'update'],
  check: checkTemporal,
  normalise: (input) => normaliseTemporal(input as TemporalInput),
  explain(config, { env, sample }) {
    const { mode, workflowType, activityType, taskQueue, workflowId, signal, update, retry } = config;
    const address = config.address ?? env['TEMPORAL_ADDRESS'] ?? 'the Temporal of this process';
    const namespace = config.namespace ?? env['TEMPORAL_NAMESPACE'] ?? 'default';
    const type = workflowType ?? activityType ?? '';
    const name = signal ?? update;
    return {
      facts: { address, namespace, mode, workflowType, activityType, taskQueue, workflowId, signal, update },
      address: `${address}, namespace ${namespace}, ${mode}${name === null ? '' : ` ${name}`}: ${type}, id ${workflowId}, task queue ${taskQueue}`,
      rows: [['acknowledged', acknowledged[mode]]],
      answers: [
        [
          'unreachable',
          `no connection, RESOURCE_EXHAUSTED or UNAVAILABLE costs no attempt; tried for ${describeDuration(retry.scheduleToCloseTimeoutMs)}`,
        ],
        ['parks at once', parks[mode]],
        [
          'for example',
          `${sample.type} with key ${sample.key}: ${explainedTemplate(type, sample)} ${explainedTemplate(workflowId, sample)}`,
        ],
      ],
    };
  },
  ...preparedBy(
    prepareServer,
    (config, server, { connections }) => new TemporalPublisher(config, server, config.timeoutMs, connections),
  ),
  inspect: inspectTemporal,
};

const acknowledged = {
  start: 'when the workflow is started, or is there already under that id and of that type',
  signalWithStart: 'when the workflow, started if need be, has the signal in its history',
  updateWithStart: 'when the workflow, started if need be, accepted the update',
  activity: 'when the activity is started, or is there already under that id',
};

const parks = {
  start: 'too large, a workflow of another type under that id, what Temporal calls invalid',
  signalWithStart: 'too large, what Temporal calls invalid',
  updateWithStart: 'rejected by the validator, too large, what Temporal calls invalid',
  activity: 'too large, what Temporal calls invalid',
};
