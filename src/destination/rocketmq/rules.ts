/** What a rocketmq destination may not say. */
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkSecret } from '../../settings/values.ts';
import { checkHostPorts } from '../shared/hostPorts.ts';
import { topicProblem } from './topic.ts';

export function checkRocketmq(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { endpoints, topic, group, ordering, auth } = destination;
  const { findings } = context;
  if (typeof endpoints === 'string') checkHostPorts([...path, 'endpoints'], endpoints, context);
  const problem = typeof topic === 'string' ? problemOf(topic) : null;
  if (problem !== null) findings.problem([...path, 'topic'], problem);
  if (ordering === 'key' && group === undefined)
    findings.warning(
      [...path, 'ordering'],
      "a normal topic has no order for its consumers; use a FIFO topic and group: '{key}'",
    );
  if (!isMapping(auth)) return;
  for (const key of ['accessKey', 'accessSecret', 'securityToken']) {
    const written = auth[key];
    if (typeof written === 'string') checkSecret([...path, 'auth', key], written, context);
  }
}

function problemOf(topic: string): string | null {
  try {
    return topicProblem(topic);
  } catch {
    return null; // Reported as what it is.
  }
}
