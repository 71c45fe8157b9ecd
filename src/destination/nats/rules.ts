/** What a nats destination may not say. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkSecret } from '../../settings/values.ts';
import { checkServerAddress } from '../shared/serverAddress.ts';
import { checkTls } from '../shared/tls.ts';
import { schemes } from './schemes.ts';
import { templateProblem } from './subject.ts';

export function checkNats(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { servers, subject, stream, declare, auth, tls } = destination;
  const { findings } = context;
  if (Array.isArray(servers))
    servers.forEach((server: unknown, index) => {
      if (typeof server === 'string')
        checkServerAddress([...path, 'servers', index], server, schemes, context);
    });
  if (typeof subject === 'string') {
    const problem = problemOf(subject);
    if (problem !== null) findings.problem([...path, 'subject'], problem);
  }
  if (typeof stream === 'string' && /[\s.*>/\\]/.test(stream))
    findings.problem(
      [...path, 'stream'],
      'expected the name of a stream, without spaces, dots, *, >, / and \\',
    );
  if (declare === true && stream === undefined)
    findings.problem([...path, 'declare'], 'expected stream beside it: the name of the stream to make');
  if (isMapping(auth)) checkAuth([...path, 'auth'], auth, context);
  checkTls([...path, 'tls'], tls, context);
}

function problemOf(subject: string): string | null {
  try {
    return templateProblem(subject);
  } catch {
    return null; // Reported as what it is.
  }
}

function checkAuth(path: KeyPath, auth: Mapping, context: RuleContext): void {
  for (const key of ['password', 'token', 'nkey', 'creds']) {
    const written = auth[key];
    if (typeof written === 'string') checkSecret([...path, key], written, context);
  }
  const ways = [auth['user'] ?? auth['password'], auth['token'], auth['nkey'], auth['creds']];
  if (ways.filter((way) => way !== undefined).length !== 1)
    context.findings.problem(path, 'expected one of user with password, token, nkey and creds');
  if ((auth['user'] === undefined) !== (auth['password'] === undefined))
    context.findings.problem(path, 'expected user and password together');
}
