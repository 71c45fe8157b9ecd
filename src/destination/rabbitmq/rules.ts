/** What a rabbitmq destination may not say. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkServerAddress } from '../shared/serverAddress.ts';
import { Template } from '../shared/template.ts';
import { checkTls } from '../shared/tls.ts';
import { schemes } from './schemes.ts';

export function checkRabbitmq(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { url, exchange, routingKey, declare, tls } = destination;
  const { findings } = context;
  if (typeof url === 'string') checkServerAddress([...path, 'url'], url, schemes, context);
  if (typeof exchange === 'string' && exchange.startsWith('amq.') && isMapping(declare))
    findings.problem([...path, 'declare'], 'expected none: names that begin with amq. are the server’s own');
  if (isMapping(declare)) checkDeclare([...path, 'declare'], declare, { exchange, routingKey }, context);
  checkTls([...path, 'tls'], tls, context);
}

function checkDeclare(
  path: KeyPath,
  declare: Mapping,
  { exchange, routingKey }: { readonly exchange: unknown; readonly routingKey: unknown },
  { findings }: RuleContext,
): void {
  if (exchange === '' && declare['exchange'] !== undefined)
    findings.keyProblem([...path, 'exchange'], 'has no effect on the default exchange; remove it');
  if (declare['queue'] === undefined) return;
  if (exchange !== '')
    findings.keyProblem(
      [...path, 'queue'],
      "has no effect beside an exchange: its queues are the consumers'; remove it",
    );
  else if (!isConstant(routingKey))
    findings.keyProblem(
      [...path, 'queue'],
      'expected a routingKey without placeholders: it names the queue to make',
    );
}

function isConstant(written: unknown): boolean {
  try {
    return typeof written === 'string' && new Template(written).isConstant;
  } catch {
    return true; // Reported as what it is.
  }
}
