/** Asks whether the namespace is there, and whether anybody works for its task queue. */
import type { DestinationConfig } from '../../core/destination.ts';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import { failureOf } from './failures.ts';
import type { TemporalSettings } from './keys.ts';
import { prepareServer, TemporalConnection } from './server.ts';
import { counted } from '../../core/counted.ts';

const taskQueueTypes = { workflow: 1, activity: 2 };

export async function inspectTemporal(
  config: DestinationConfig & TemporalSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const server = prepareServer(config, services);
  const connection = new TemporalConnection(server);
  try {
    const { connection: opened, clientFor } = await connection.open();
    const { namespace } = clientFor(server.namespace).options;
    const { workflowService } = opened;
    await workflowService.describeNamespace({ namespace });
    const found = `${server.label}: namespace ${namespace} is there`;
    const queue = new Template(config.taskQueue);
    if (!queue.isConstant) return [{ level: 'ok', found, hint: null }];
    const { pollers } = await workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: config.taskQueue },
      taskQueueType: config.mode === 'activity' ? taskQueueTypes.activity : taskQueueTypes.workflow,
    });
    if (pollers.length > 0)
      return [
        {
          level: 'ok',
          found: `${found}, ${counted(pollers.length, 'worker')} on ${config.taskQueue}`,
          hint: null,
        },
      ];
    return [
      {
        level: 'warn',
        found: `${found}; no worker polls the task queue ${config.taskQueue} at the moment`,
        hint: 'Start one, or correct taskQueue: what is started waits for it.',
      },
    ];
  } catch (error) {
    const { errorClass, message } = failureOf(error, server.label);
    return [{ level: 'fail', found: message, hint: hints[errorClass] ?? 'Is it there, and does it answer?' }];
  } finally {
    await connection.close();
  }
}

const hints: Readonly<Record<string, string>> = {
  'unknown-target': 'Correct namespace, or make it: temporal operator namespace create.',
  'access-refused':
    'The login needs the right to start workflows, and to describe the namespace for this look.',
};
