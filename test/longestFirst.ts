import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * A minute each and more, most of it waited for others' time limits: begun last, one of them would be alone at the end. Brokers lie apart,
 * so that few of them run at once, and what stirs everything begins beside those that wait.
 */
const long = [
  'chaos/chaos',
  'field/outcomeWritten',
  'field/mainPaths',
  'conformance/temporal',
  'destinationTypes/volume/volume',
  'conformance/rocketmq',
  'crash/halfMessages',
  'redrive/storm',
  'consumer/volume/volume',
  'consumer/rocketmq',
  'chaos/queue/queue',
  'crash/poison',
  'consumer/kafka',
  'crash/failpoints',
  'conformance/sqs',
  'circuit/thirdTry',
  'consumer/rabbitmq',
  'field/visibility',
  'field/paused',
  'consumer/sqs',
  'replays/replay',
  'conformance/rabbitmq',
  'resolve/flood',
  'consumer/nats',
  'field/administering',
  'conformance/kafka',
  'order/concurrency',
  'circuit/signs',
  'consumer/redis',
  'circuit/survival',
  'crash/restored',
  'crash/otherTemporal',
  'field/searchAttributes',
  'receiver/bank',
  'examples/shop',
  'dashboard/redrives',
  'crash/stoppedRelay',
  'order/rates',
  'circuit/askedToWait',
  'circuit/probe',
  'relay/outages',
  'housekeeping/days',
  'crash/waiting',
  'housekeeping/volume',
  'cli/dev',
  'cli/demo',
  'deliver/openBatches',
  'dashboard/page',
  'dashboard/lag',
  'ui/foreignText',
  'circuit/besideTraffic',
  'packaging/pack',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = long.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return rank < 0 ? long.length : rank;
    };
    return (await super.sort(files)).toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}
