import type { Environment } from '../core/secrets.ts';
import type { Findings } from './findings.ts';

export interface RuleContext {
  readonly env: Environment;
  /** What to do about an absent variable; `warn` is for processes that never send, such as `migrate`. */
  readonly missingEnvironment: 'refuse' | 'warn';
  readonly findings: Findings;
}
