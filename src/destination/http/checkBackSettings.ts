/** The part of `producers.<name>.checkBack` that is HTTP: its keys, their rules, what they come to. */
import { defaults, bounds } from '../../settings/limits.ts';
import { ms } from '../../settings/durations.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { duration, text } from '../../settings/shapes.ts';
import type { HttpCheckBackConfig } from '../../core/producer.ts';
import { requestKeys, type RequestInput } from './keys.ts';
import { normaliseRequest } from './normalise.ts';
import { checkHttp } from './rules.ts';

export const httpCheckBackKeys = {
  url: text(bounds.urlLength, 'an http:// or https:// address')
    .optional()
    .describe('Asked by POST. ${NAME} is filled in from the environment.'),
  timeout: duration(bounds.waitMs).optional().describe('One check-back in all. Default 5s.'),
  ...requestKeys,
};

const onlyWithUrl = ['signing', 'auth', 'network', 'tls', 'proxy'];

export function checkHttpCheckBack(path: KeyPath, checkBack: Mapping, context: RuleContext): void {
  const { url, handler } = checkBack;
  if ((url === undefined) === (handler === undefined))
    context.findings.problem(path, 'expected exactly one of url and handler');
  for (const key of onlyWithUrl) {
    if (handler !== undefined && checkBack[key] !== undefined)
      context.findings.keyProblem([...path, key], 'has no effect beside handler; remove one');
  }
  checkHttp(path, checkBack, context);
}

export function normaliseHttpCheckBack(
  input: RequestInput & { readonly url?: string | undefined; readonly timeout?: string | undefined },
): HttpCheckBackConfig {
  return {
    kind: 'http',
    url: input.url as string,
    timeoutMs: ms(input.timeout, defaults.checkBack.timeoutMs),
    ...normaliseRequest(input),
  };
}
