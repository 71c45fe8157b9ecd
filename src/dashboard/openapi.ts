/** The description of the dashboard's API, OpenAPI 3.1: made from the table that the routes are made from. */
import * as z from 'zod';
import { paramPatterns, type Endpoint } from './endpoint.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});
const answer = { description: 'Done.', content: { 'application/json': { schema: { type: 'object' } } } };

const auditedAnswer = {
  description: 'Done.',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['audit'],
        properties: { audit: { type: 'array', items: { $ref: '#/components/schemas/AuditLine' } } },
      },
    },
  },
};

const refused = {
  '400': problem('A field of path, query or body is not as it has to be.'),
  '401': problem('Nobody is signed in.'),
  '403': problem('The role does not allow it, or it comes from another site.'),
  '429': problem('Too many requests.'),
  '503': problem('The database or Temporal cannot be used at the moment.'),
};
const ofCommands = {
  '409': problem('Refused; nothing was changed.'),
  '412': problem('It changed since If-Match.'),
  '413': problem('The body is too large.'),
  '415': problem('The body is not application/json.'),
  '504': problem('No worker answered in time; the command may still be carried out.'),
};

export function dashboardDocument(endpoints: readonly Endpoint[]) {
  const paths: Record<string, Record<string, object>> = {};
  for (const each of endpoints) {
    const at = (paths[`/v1${each.path}`] ??= {});
    at[each.method.toLowerCase()] = operationOf(each);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'temporal-outbox dashboard',
      version: '1',
      description: 'What the dashboard shows and does. Commands are those of the command line.',
    },
    security: [{ token: [] }, { session: [] }, { person: [] }],
    paths: { ...paths, ...session },
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'outbox_session' },
        person: { type: 'apiKey', in: 'cookie', name: 'outbox_person' },
      },
      schemas: { Problem: problemSchema, AuditLine: auditLineSchema },
    },
  };
}

function operationOf({ operationId, summary, path, query, body, need, method, audited }: Endpoint) {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: paramPatterns[name]?.expected,
    schema: { type: 'string', pattern: paramPatterns[name]?.pattern.source },
  }));
  const { properties = {} } = schemaOf(query) as { properties?: Record<string, JsonSchema> };
  const inQuery = Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }));
  const notFound = inPath.length === 0 ? {} : { '404': problem('There is none of that name or number.') };
  return {
    operationId,
    summary,
    'x-needs': need,
    ...(inPath.length + inQuery.length === 0 ? {} : { parameters: [...inPath, ...inQuery] }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: {
      '200': audited === true ? auditedAnswer : answer,
      ...refused,
      ...notFound,
      ...(method === 'GET' ? {} : ofCommands),
    },
  };
}

function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _schema, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

const session = {
  '/v1/session': {
    get: {
      operationId: 'readSignIn',
      summary: 'How one signs in: by tokens, at an OpenID provider. Its page is /v1/session/oidc.',
      security: [],
      responses: { '200': answer },
    },
    post: {
      operationId: 'signIn',
      summary: 'Signs a browser in with a token: it gets a cookie.',
      security: [],
      requestBody: {
        required: true,
        content: {
          'application/json': {
            schema: { type: 'object', required: ['token'], properties: { token: { type: 'string' } } },
          },
        },
      },
      responses: {
        '200': answer,
        '401': problem('The token is wrong, revoked or out of date.'),
        '429': problem('Too many.'),
      },
    },
    delete: {
      operationId: 'signOut',
      summary: 'Takes the cookie back.',
      security: [],
      responses: { '200': answer },
    },
  },
  '/v1/openapi.json': {
    get: {
      operationId: 'describe',
      summary: 'This document.',
      security: [],
      responses: { '200': answer },
    },
  },
};

const textOrNull = { type: ['string', 'null'] };

const auditLineSchema = {
  type: 'object',
  description: 'A command, or a refused one, and how it is known who sent it.',
  required: ['at', 'actor', 'known', 'via', 'action', 'outcome', 'message'],
  properties: {
    at: { type: 'string', format: 'date-time' },
    actor: { ...textOrNull, description: 'What the sender says of itself.' },
    known: {
      enum: ['proved', 'session_user', 'claimed', null],
      description:
        'proved: by Temporal, see principal; session_user: by PostgreSQL, see login; claimed: by nobody.',
    },
    principal: { ...textOrNull, description: 'Whom Temporal authenticated: jwt:ada@example.com.' },
    identity: { ...textOrNull, description: 'What the sender’s client said of itself to Temporal.' },
    login: { ...textOrNull, description: 'The database user.' },
    via: { type: 'string' },
    action: { type: 'string' },
    outcome: { enum: ['done', 'refused', 'waiting'] },
    message: { type: 'string' },
    reason: textOrNull,
    before: { description: 'How what it is about stood; texts by their SHA-256.' },
    after: { description: 'How it stood afterwards.' },
  },
};

const problemSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { const: 'about:blank' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', pattern: '^OUTBOX_' },
    hint: { type: 'string' },
  },
};
