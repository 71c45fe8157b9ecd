/** /v1/openapi.json says what the API really has and answers. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { fastify } from 'fastify';
import { beforeAll, expect, test } from 'vitest';
import { apiGroup } from '../../src/http/api.ts';
import { openApiDocument } from '../../src/http/openapi.ts';
import { databaseWithProducer } from '../halfMessages/support.ts';
import { quietLog, type TestDatabase } from '../support/index.ts';
import { ask, startApi, type Answered } from './support.ts';

const document = openApiDocument();
let database: TestDatabase;
let url: string;
beforeAll(async () => {
  database = await databaseWithProducer();
  url = await startApi(database);
});

test('it is served, to anybody who reaches the port', async () => {
  const response = await fetch(`${url}/v1/openapi.json`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(document)));
});

test('its paths and methods are the routes there are, no more and no fewer', async () => {
  const routes = new Set<string>();
  const app = fastify();
  app.addHook('onRoute', ({ method, url: path }) => {
    for (const each of [method].flat()) if (each !== 'HEAD') routes.add(`${each} ${path}`);
  });
  const config = { listen: { host: '127.0.0.1', port: 0 }, tokens: [] };
  await apiGroup({ pool: database.pool, config, env: {}, log: quietLog().log, health: false }).register(app);
  await app.ready();
  await app.close();
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace('{id}', ':id')}`),
  );
  expect([...routes].sort()).toEqual(described.sort());
});

test('what is answered fits what it says', async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'doc', components: document.components });
  const fits = (schema: string, { body }: Answered) => {
    const validate = ajv.compile({ $ref: `doc#/components/schemas/${schema}` });
    expect(validate(body), JSON.stringify({ body, errors: validate.errors })).toBe(true);
  };
  const post = (path: string, body?: string) =>
    ask(`${url}${path}`, { method: 'POST', ...(body === undefined ? {} : { body }) });
  const text = '{"producer":"shop","type":"t","payload":1}';
  const prepared = await post('/v1/messages', text);
  fits('PreparedMessage', prepared);
  const id = prepared.body['id'] as string;
  fits('MessageState', await ask(`${url}/v1/messages/${id}`));
  fits('SettledMessage', await post(`/v1/messages/${id}/commit`));
  fits('MessageState', await ask(`${url}/v1/messages/${id}`));
  fits('Problem', await post(`/v1/messages/${id}/rollback`));
  fits('Problem', await post('/v1/messages', '{'));
  fits('Problem', await ask(`${url}/v1/nothing`));
  fits('WrittenEvent', await post('/v1/events', '{"type":"t","payload":1}'));
  const taken = ajv.compile({ $ref: 'doc#/components/schemas/HalfMessage' });
  expect(taken(JSON.parse(text))).toBe(true);
  expect(taken({ producer: 'shop', type: 't', payload: 1, dedupKey: 'x' })).toBe(false);
});
