/** SQS before the suite of consumers, before volumes and the benchmark, as ElasticMQ has it: in a file, so it can be killed. */
import type { ConsumerServer } from '../../../src/testing/consumers/index.ts';
import { launchElasticmq } from '../../support/brokers/elasticmq.ts';
import { serve } from './sqs.ts';

export async function startElasticmq(): Promise<ConsumerServer> {
  const server = await launchElasticmq();
  return { ...serve(server), kill: server.kill9, restart: server.start };
}
