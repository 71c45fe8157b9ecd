/** The API's description, OpenAPI 3.1. A test holds it to the routes there are and to what they answer. */
import { payloadBytesMax } from '../produce/event.ts';

const text = (maxLength: number, description: string) => ({
  type: 'string',
  minLength: 1,
  maxLength,
  description,
});
const nullable = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });
const moment = { type: 'string', format: 'date-time' };
const uuid = { type: 'string', format: 'uuid' };
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: object) => ({ 'application/json': { schema } });
const answer = (description: string, schema: object) => ({ description, content: json(schema) });
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ref('Problem') } },
});

const eventProperties = {
  type: text(255, 'Dotted by convention; routes match on it.'),
  payload: { description: `Any JSON value, at most ${payloadBytesMax} bytes; stored digit for digit.` },
  payloadBase64: nullable({
    type: 'string',
    contentEncoding: 'base64',
    description: `In place of payload: at most ${payloadBytesMax} bytes, sent as they are. With a contentType of its own.`,
  }),
  key: nullable(text(1024, 'What the event belongs to, such as an order id.')),
  headers: nullable({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Sent with every delivery.',
  }),
  deliverAt: nullable({ ...moment, description: 'Not delivered before; with its offset.' }),
  id: nullable({
    ...uuid,
    description: 'A UUIDv7 of your own: a repeat with the same content changes nothing.',
  }),
  source: nullable(text(1024, 'CloudEvents source.')),
  subject: nullable(text(1024, 'CloudEvents subject.')),
  contentType: nullable(text(255, 'Default application/json; required with payloadBase64.')),
};

const onePayload = [{ required: ['payload'] }, { required: ['payloadBase64', 'contentType'] }];

const producerProperty = text(63, 'A name under producers: in outbox.yaml.');

const refused = {
  '400': problem('The body is no JSON object of the known fields.'),
  '401': problem('No token, or a wrong one.'),
  '403': problem('From a browser, or, without tokens, under a name that is not this machine’s.'),
  '413': problem('The body is too large.'),
  '415': problem('The body is not application/json.'),
  '422': problem('A field cannot be stored as it is, or names an unknown producer.'),
  '503': problem('The database cannot be used at the moment; repeat the request.'),
};
const { '400': _400, '413': _413, '415': _415, ...refusedById } = refused;
const conflict = (description: string) => ({ '409': problem(description) });
const notFound = { '404': problem('There is no such half message.') };
const idParameter = [{ name: 'id', in: 'path', required: true, schema: uuid }];

function settling(operationId: string, summary: string, opposite: string) {
  return {
    operationId,
    summary,
    parameters: idParameter,
    responses: {
      '200': answer('Settled, by this request or by an earlier one.', ref('SettledMessage')),
      ...conflict(`It was ${opposite} before.`),
      ...notFound,
      ...refusedById,
    },
  };
}

const paths = {
  '/v1/messages': {
    post: {
      operationId: 'prepareMessage',
      summary: 'Prepares a half message. Not delivered until it is committed.',
      requestBody: { required: true, content: json(ref('HalfMessage')) },
      responses: {
        '201': answer('Prepared.', ref('PreparedMessage')),
        '200': answer('The same message was there before.', ref('PreparedMessage')),
        ...conflict('The id names a message with other content.'),
        ...refused,
      },
    },
  },
  '/v1/messages/{id}': {
    get: {
      operationId: 'readMessage',
      summary: 'How a half message stands.',
      parameters: idParameter,
      responses: {
        '200': answer('Its state, without its content.', ref('MessageState')),
        ...notFound,
        ...refusedById,
      },
    },
  },
  '/v1/messages/{id}/commit': {
    post: settling('commitMessage', 'Makes the message an event, which is delivered at once.', 'rolled back'),
  },
  '/v1/messages/{id}/rollback': {
    post: settling('rollbackMessage', 'Takes the message back.', 'committed'),
  },
  '/v1/events': {
    post: {
      operationId: 'enqueue',
      summary: 'Writes one event, in a transaction of its own.',
      requestBody: { required: true, content: json(ref('NewEvent')) },
      responses: {
        '201': answer('Written.', ref('WrittenEvent')),
        '200': answer('The same id or dedupKey with the same content was there before.', ref('WrittenEvent')),
        ...conflict('The id or dedupKey names an event with other content.'),
        ...refused,
      },
    },
  },
  '/v1/openapi.json': {
    get: {
      operationId: 'describe',
      summary: 'This document.',
      security: [],
      responses: { '200': answer('OpenAPI 3.1.', { type: 'object' }) },
    },
  },
};

const schemas = {
  HalfMessage: {
    type: 'object',
    additionalProperties: false,
    required: ['producer', 'type'],
    anyOf: onePayload,
    properties: { producer: producerProperty, ...eventProperties },
  },
  NewEvent: {
    type: 'object',
    additionalProperties: false,
    required: ['type'],
    anyOf: onePayload,
    properties: {
      ...eventProperties,
      dedupKey: nullable(text(1024, 'A key of your own that names this event for ever.')),
    },
  },
  PreparedMessage: {
    type: 'object',
    additionalProperties: false,
    required: ['id', 'state', 'inserted'],
    properties: { id: uuid, state: ref('State'), inserted: { type: 'boolean' } },
  },
  SettledMessage: {
    type: 'object',
    additionalProperties: false,
    required: ['id', 'state', 'eventId', 'changed'],
    properties: {
      id: uuid,
      state: { enum: ['committed', 'rolled-back'] },
      eventId: nullable({
        ...uuid,
        description: 'The message’s id, or a new one where that was older than a day.',
      }),
      changed: { type: 'boolean', description: 'False: it was settled so before.' },
    },
  },
  State: { enum: ['prepared', 'parked', 'committed', 'rolled-back'] },
  MessageState: {
    type: 'object',
    additionalProperties: false,
    required: ['id', 'producer', 'type', 'state', 'eventId', 'checks', 'preparedAt'],
    properties: {
      ...{
        id: uuid,
        producer: producerProperty,
        type: { type: 'string' },
        state: ref('State'),
        eventId: nullable(uuid),
      },
      checks: { type: 'integer', description: 'Check-backs that told nothing.' },
      lastAnswer: nullable({ type: 'string' }),
      preparedAt: moment,
      nextCheckAt: nullable(moment),
      parkedAt: nullable(moment),
      settledAt: nullable(moment),
      settledBy: nullable({ type: 'string' }),
      workflowId: nullable({ type: 'string' }),
    },
  },
  WrittenEvent: {
    type: 'object',
    additionalProperties: false,
    required: ['id', 'inserted'],
    properties: { id: uuid, inserted: { type: 'boolean' } },
  },
  Problem: {
    type: 'object',
    required: ['type', 'title', 'status', 'detail', 'code'],
    properties: {
      type: { const: 'about:blank' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      code: { type: 'string', pattern: '^OUTBOX_', description: 'Lasting; docs/errors.md lists them.' },
      hint: { type: 'string' },
    },
  },
};

export function openApiDocument() {
  return {
    openapi: '3.1.0',
    info: {
      title: 'temporal-outbox',
      version: '1',
      description: 'Half messages and events over HTTP. Every request may be repeated.',
    },
    security: [{ token: [] }],
    paths,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } }, schemas },
  };
}
