import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** A minute each and more, most of it waited for others' time limits: begun last, one of them would be alone at the end. */
const long = [
  'chaos/chaos',
  'crash/halfMessages',
  'field/mainPaths',
  'crash/failpoints',
  'crash/poison',
  'field/visibility',
  'field/paused',
  'field/outcomeWritten',
  'order/concurrency',
  'circuit/signs',
  'circuit/survival',
  'crash/restored',
  'crash/otherTemporal',
  'field/searchAttributes',
  'receiver/bank',
  'examples/shop',
  'order/rates',
  'circuit/askedToWait',
  'circuit/probe',
  'relay/outages',
  'housekeeping/days',
  'crash/waiting',
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
