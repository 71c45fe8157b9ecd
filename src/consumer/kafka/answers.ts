/** What brokers answer to members of a group. */
import { inside } from '../../destination/kafka/answers.ts';
import type { Partition } from './partition.ts';

interface Response {
  readonly responses?: readonly {
    readonly topicId: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[];
  }[];
}

const offsetOutOfRange = 1;

/** Those of which the broker does not have the offset that was asked for. */
export function outOfRange(
  error: unknown,
  asked: readonly Partition[],
  topicId: (topic: string) => string,
): readonly Partition[] {
  const responses = inside(error).flatMap(
    (each) => (each as unknown as { response?: Response }).response?.responses ?? [],
  );
  const found = responses.flatMap((topic) =>
    topic.partitions
      .filter(({ errorCode }) => errorCode === offsetOutOfRange)
      .map(({ partitionIndex }) => `${topic.topicId} ${partitionIndex}`),
  );
  return asked.filter(({ topic, number }) => found.includes(`${topicId(topic)} ${number}`));
}

const elsewhere = ['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'];

/** Whether another broker leads the group by now. */
export function isElsewhere(error: unknown): boolean {
  return inside(error).some(({ apiId }) => elsewhere.includes(String(apiId)));
}
