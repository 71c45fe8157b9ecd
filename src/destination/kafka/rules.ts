/** What a kafka destination may not say. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkSecret } from '../../settings/values.ts';
import { checkHostPorts } from '../shared/hostPorts.ts';
import { checkTls } from '../shared/tls.ts';
import { topicProblem } from './topic.ts';

export function checkKafka(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { brokers, topic, sasl, tls } = destination;
  if (Array.isArray(brokers))
    brokers.forEach((broker: unknown, index) => {
      if (typeof broker === 'string') checkHostPorts([...path, 'brokers', index], broker, context);
    });
  const problem = typeof topic === 'string' ? problemOf(topic) : null;
  if (problem !== null) context.findings.problem([...path, 'topic'], problem);
  if (isMapping(sasl)) checkSasl([...path, 'sasl'], sasl, tls, context);
  checkTls([...path, 'tls'], tls, context);
}

function problemOf(topic: string): string | null {
  try {
    return topicProblem(topic);
  } catch {
    return null; // Reported as what it is.
  }
}

function checkSasl(path: KeyPath, sasl: Mapping, tls: unknown, context: RuleContext): void {
  const { findings } = context;
  for (const key of ['password', 'token']) {
    const written = sasl[key];
    if (typeof written === 'string') checkSecret([...path, key], written, context);
  }
  const { mechanism, username, password, token } = sasl;
  const wanted = mechanism === 'OAUTHBEARER' ? { token } : { username, password };
  for (const [key, value] of Object.entries(wanted))
    if (value === undefined) findings.missing([...path, key], `expected a value for ${String(mechanism)}`);
  if (tls === undefined && (mechanism === 'PLAIN' || mechanism === 'OAUTHBEARER'))
    findings.warning(path, `${mechanism} without tls sends the secret as it is over the network`);
}
