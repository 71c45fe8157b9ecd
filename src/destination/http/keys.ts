/** The keys of outbox.yaml that are particular to HTTP. */
import * as z from 'zod';
import { bounds } from '../../settings/limits.ts';
import { flag, list, oneOf, secret, section, text, whole, type InputOf } from '../../settings/shapes.ts';
import { credentialKeys } from '../shared/tls.ts';
import { httpBounds, httpDefaults } from './limits.ts';

const address = text(bounds.urlLength, 'an http:// or https:// address');

const authSchema = section({
  bearer: secret().optional().describe('env:NAME of a bearer token.'),
  basic: section({
    username: text({ min: 1, max: 255 }, 'a user name'),
    password: secret().describe('env:NAME of the password.'),
  }).optional(),
  oauth2: section({
    tokenUrl: address.describe('Where tokens are fetched. ${NAME} is filled in.'),
    clientId: text({ min: 1, max: 1024 }, 'the id of a client, or env:NAME'),
    clientSecret: secret().describe('env:NAME of its secret.'),
    scope: text({ min: 1, max: 1024 }, 'scopes, apart by spaces').optional(),
    audience: text({ min: 1, max: 1024 }, 'an audience').optional(),
    sendAs: oneOf(['basic', 'body'])
      .optional()
      .describe('How id and secret are sent: HTTP Basic, or in the form. Default basic.'),
    tls: section(credentialKeys).optional().describe('Of the token endpoint.'),
  })
    .optional()
    .describe('A token by client credentials, fetched when it is needed.'),
});

const signingSchema = section({
  scheme: oneOf(['standard-webhooks']),
  secrets: list(secret(), httpBounds.signingSecrets, 'secrets such as [env:BILLING_SECRET]'),
});

const networkSchema = section({
  allowPrivate: flag()
    .optional()
    .describe(
      'Private and loopback addresses. Link-local and cloud metadata are never reached. Default true.',
    ),
});

/** Whom a request says it is from, and where it may go: of destinations and of check-backs. */
export const requestKeys = {
  signing: signingSchema.optional(),
  auth: authSchema.optional(),
  network: networkSchema.optional(),
  tls: section(credentialKeys).optional().describe('For https:// addresses.'),
  proxy: text(bounds.urlLength, 'http://proxy:3128, env:NAME, ${NAME} or none')
    .optional()
    .describe('An HTTP proxy on the way. none: there is none, and HTTPS_PROXY is of no interest.'),
};

export const httpKeys = {
  url: address.describe('${NAME} is filled in from the environment.'),
  method: oneOf(['POST', 'PUT', 'PATCH']).optional().describe('Default POST.'),
  headers: z
    .record(z.string(), z.string({ error: 'expected text (numbers and true or false need quotes)' }), {
      error: 'expected a mapping of header names to values',
    })
    .optional()
    .describe('Added to every request. A value env:NAME is read from the environment.'),
  ...requestKeys,
  idempotencyKey: section({
    quoted: flag()
      .optional()
      .describe('Idempotency-Key as a quoted string, as the IETF draft has it. Default true.'),
  }).optional(),
  cloudEvents: oneOf(['none', 'binary', 'structured']).optional().describe('Default none.'),
  responseExcerpt: whole(httpBounds.responseExcerpt)
    .optional()
    .describe('Characters kept of the answer to a failed attempt. Default 512.'),
};

export const httpRetryKeys = {
  nonRetryableStatusCodes: list(
    whole(httpBounds.statusCode),
    { min: 0, max: 300 },
    'status codes such as [400, 422]',
  )
    .optional()
    .describe(`Answers that park at once. Default ${httpDefaults.retry.nonRetryableStatusCodes.join(', ')}.`),
};

export const httpCircuitKeys = {
  probeUrl: address
    .optional()
    .describe('Asked with GET in place of sending events as probes. ${NAME} is filled in.'),
};

export type RequestInput = InputOf<typeof requestKeys>;

export type HttpInput = InputOf<typeof httpKeys> & {
  readonly retry?: InputOf<typeof httpRetryKeys> | undefined;
  readonly circuit?: InputOf<typeof httpCircuitKeys> | undefined;
};
