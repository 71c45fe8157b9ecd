/** What the section `api` may not say. */
import { isLoopback } from '../core/api.ts';
import { parseListen } from '../core/listen.ts';
import { bounds, defaults } from '../settings/limits.ts';
import type { Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { checkCredential } from '../settings/values.ts';

export function checkApi(api: Mapping, context: RuleContext): void {
  const { findings } = context;
  const tokens = Array.isArray(api['tokens']) ? (api['tokens'] as unknown[]) : [];
  for (const [index, written] of tokens.entries()) {
    if (typeof written === 'string' && written !== '') checkToken(['api', 'tokens', index], written, context);
  }
  const written = api['listen'] ?? defaults.api.listen;
  const listen = typeof written === 'string' ? parseListen(written) : null;
  if (listen === null || isLoopback(listen.host) || api['tokens'] !== undefined) return;
  findings.problem(
    ['api', 'listen'],
    'expected a loopback address such as 127.0.0.1, or tokens: anybody who reaches the port could write events',
    'OUTBOX_API_UNPROTECTED',
  );
}

function checkToken(path: readonly (string | number)[], written: string, context: RuleContext): void {
  const value = checkCredential(path, written, context, 'api-token');
  const { min, max } = bounds.apiTokenLength;
  if (value !== undefined && (value.length < min || value.length > max))
    context.findings.problem(path, `expected a token of ${min} to ${max} characters`);
}
