/** Addresses of a destination as they are written, and as they are requested. */
import { expandEnvironment } from '../../core/environment.ts';
import { closedHint, type Environment } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';
import type { ConnectorOptions } from './connector.ts';

/** What is wrong with a destination, for people: no secret in it. */
export function invalid(problem: string): OutboxError {
  return new OutboxError('OUTBOX_CONFIG_INVALID', problem);
}

/** With `${NAME}` filled in. @throws OutboxError naming the key, and never the value */
export function destinationUrl(written: string, env: Environment, key = 'url'): URL {
  const { text, missing, closed = [], malformed } = expandEnvironment(written, env);
  if (closed[0] !== undefined)
    throw new OutboxError('OUTBOX_VARIABLE_CLOSED', `${key}: ${closed[0]}`, { hint: closedHint });
  if (missing.length > 0)
    throw invalid(`${key} needs ${missing.join(', ')}, missing or empty in the environment`);
  if (malformed) throw invalid(`${key} holds a \${ that is not followed by a name and }`);
  // The text itself stays out of the message: it may hold what the environment keeps.
  if (!URL.canParse(text)) throw invalid(`${key} is not a URL once the environment is filled in`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(`${key} has the scheme ${url.protocol}, expected http: or https:`);
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(`${key} has credentials inside; expected them under auth`);
  }
  return url;
}

/** What stands in a request's first line: all of the address where a proxy takes the request itself (RFC 9112, 3.2.2). */
export function requestTarget({ proxy }: ConnectorOptions, { origin, pathname, search }: URL): string {
  const isForProxy = proxy != null && origin.startsWith('http:');
  return `${isForProxy ? origin : ''}${pathname}${search}`;
}
