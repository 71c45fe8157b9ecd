/** A Temporal server of the test's own, with search attributes that can be taken away, and limits and permissions as the test wants them. */
import { Client, Connection } from '@temporalio/client';
import { startTemporal, type SearchAttributeType } from '../../src/embedded/index.ts';
import { atEnd } from '../support/index.ts';

export const attributes: Record<string, SearchAttributeType> = {
  OutboxState: 'Keyword',
  OutboxDestination: 'Keyword',
  OutboxEventType: 'Keyword',
};

export interface OwnTemporal {
  readonly settings: { readonly address: string; readonly namespace: string };
  /** For the CLI. */
  readonly env: Record<string, string>;
  readonly client: Client;
  removeAttributes(): Promise<void>;
  addAttributes(): Promise<void>;
}

export async function ownTemporal(
  dynamicConfig: Readonly<Record<string, string | number | boolean>>,
): Promise<OwnTemporal> {
  const server = await startTemporal({ headless: true, searchAttributes: attributes, dynamicConfig });
  atEnd(() => server.stop());
  const { address, namespace } = server;
  const connection = await Connection.connect({ address });
  atEnd(() => connection.close());
  const { operatorService } = connection;
  const names = Object.keys(attributes);
  return {
    settings: { address, namespace },
    env: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace },
    client: new Client({ connection, namespace }),
    removeAttributes: async () => {
      await operatorService.removeSearchAttributes({ namespace, searchAttributes: names });
    },
    addAttributes: async () => {
      const keyword = 2;
      const searchAttributes = Object.fromEntries(names.map((name) => [name, keyword]));
      await operatorService.addSearchAttributes({ namespace, searchAttributes });
    },
  };
}
