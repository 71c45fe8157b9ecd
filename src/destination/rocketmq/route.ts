/** Where a topic lies, and which messages it takes. */
import type { BaseClient } from 'rocketmq-client-nodejs';

export const messageTypes = { normal: 1, fifo: 2 } as const;

interface Route {
  readonly messageQueues: readonly { readonly acceptMessageTypesList: readonly number[] }[];
}

/** The client asks for it before its first message to a topic; it has no other question. */
export async function acceptedTypes(client: BaseClient, topic: string): Promise<ReadonlySet<number>> {
  const asking = client as unknown as { readonly getRouteData: (topic: string) => Promise<Route> };
  const { messageQueues } = await asking.getRouteData(topic);
  return new Set(messageQueues.flatMap(({ acceptMessageTypesList }) => acceptMessageTypesList));
}
