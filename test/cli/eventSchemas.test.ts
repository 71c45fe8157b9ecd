/** Schemas of events as the command line knows them: `events schema`, and `send`. */
import { expect, test } from 'vitest';
import { applyTestConfig, createTestDatabase, runCli } from '../support/index.ts';
import { json, jsonError } from './commands.ts';

test('events schema lists what outbox.yaml names, and send is held to it', async () => {
  const database = await createTestDatabase();
  const schema = { type: 'object', required: ['id'] };
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9' } }
    routes: [{ match: 'order.*', to: [billing] }]
    events:
      order.created: { description: an order was placed, schema: ${JSON.stringify(schema)} }
      order.closed: {}`,
  );
  const cli = (...args: string[]) => runCli([...args, '--json'], { databaseUrl: database.url });
  expect(json(await cli('events', 'schema'))).toEqual({
    items: [
      { type: 'order.closed', schema: null, description: null },
      { type: 'order.created', schema, description: 'an order was placed' },
    ],
  });
  expect(json(await cli('events', 'schema', 'order.created'))).toMatchObject({ schema });
  const unknown = await cli('events', 'schema', 'order.craeted');
  expect(jsonError(unknown)).toMatchObject({ code: 'OUTBOX_NOT_FOUND', hint: 'Did you mean order.created?' });
  const refused = await cli('send', 'order.created', '-p', '{}');
  expect(refused.code).toBe(2);
  expect(jsonError(refused).message).toContain("must have required property 'id'");
  expect(json(await cli('send', 'order.created', '-p', '{"id": 1}'))).toMatchObject({ inserted: true });
  expect(json(await cli('send', 'other', '-p', '{}'))).toMatchObject({ inserted: true });
});
