/** Who may use the HTTP API. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { apiTokenLength, isLoopback, type ApiConfig } from '../core/api.ts';
import { formatListen } from '../core/listen.ts';
import { resolveSecret, secretName, type Environment } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import { RequestRefused } from './problem.ts';

/** @throws RequestRefused 401 or 403 */
export type Guard = (request: FastifyRequest) => void;

/**
 * With tokens, any of them. Without, only from this machine: the address must be a loopback one, and so must the name that the
 * request was sent to, or any web page could have a browser send it (DNS rebinding). No page of another origin may either way.
 *
 * @throws OutboxError OUTBOX_API_UNPROTECTED for another address without a token, OUTBOX_SECRET_MISSING
 */
export function guardFor({ listen, tokens }: ApiConfig, env: Environment): Guard {
  if (tokens.length === 0) {
    if (!isLoopback(listen.host)) throw unprotected(formatListen(listen));
    return (request) => {
      refuseBrowsers(request);
      if (!isLoopback(request.hostname))
        throw new RequestRefused(403, 'without a token the API answers to the names of this machine only');
    };
  }
  const digests = tokens.map((token) => digestOf(readToken(token, env)));
  return (request) => {
    refuseBrowsers(request);
    const given = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined || !isAnyOf(digests, digestOf(given)))
      throw new RequestRefused(401, 'expected the header Authorization: Bearer, with a token of this API');
  };
}

/** What a check of the configuration says of the file, this says of the process that serves: its environment is another. */
function readToken(written: string, env: Environment): string {
  const token = resolveSecret(written, env, 'api-token');
  const { min, max } = apiTokenLength;
  if (token.length >= min && token.length <= max) return token;
  const where = secretName(written) === null ? 'a token' : `the token of ${written}`;
  throw new OutboxError(
    'OUTBOX_SECRET_MISSING',
    `api.tokens: ${where} has ${token.length} characters, expected ${min} to ${max}`,
    {
      hint: 'Make one with: openssl rand -hex 24',
    },
  );
}

function refuseBrowsers({ headers }: FastifyRequest): void {
  if (headers.origin !== undefined)
    throw new RequestRefused(
      403,
      'the API is for programs: requests with an Origin, as browsers send them, are refused',
    );
}

/** Digests have one length, which timingSafeEqual needs; all are looked at, found or not. */
function isAnyOf(digests: readonly Buffer[], digest: Buffer): boolean {
  return digests.reduce((found, known) => timingSafeEqual(known, digest) || found, false);
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function unprotected(address: string): OutboxError {
  return new OutboxError(
    'OUTBOX_API_UNPROTECTED',
    `the HTTP API would listen at ${address} without a token`,
    {
      hint: 'Set OUTBOX_API_TOKEN and name it, api: { tokens: [env:OUTBOX_API_TOKEN] }, or listen at 127.0.0.1.',
    },
  );
}
