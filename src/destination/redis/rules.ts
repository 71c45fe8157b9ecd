/** What a redis destination may not say. */
import type { KeyPath } from '../../settings/findings.ts';
import type { Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkServerAddress } from '../shared/serverAddress.ts';
import { checkTls } from '../shared/tls.ts';
import { schemes } from './schemes.ts';

export function checkRedis(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { url, tls } = destination;
  if (typeof url === 'string') checkServerAddress([...path, 'url'], url, schemes, context);
  checkTls([...path, 'tls'], tls, context);
}
