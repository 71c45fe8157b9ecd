import { expandEnvironment } from '../../core/environment.ts';
import type { VariableUse } from '../../core/reserved.ts';
import { closedHint, type Environment } from '../../core/secrets.ts';
import { OutboxError } from '../../errors.ts';

/** The text with every `${NAME}` filled in. @throws OutboxError naming the key, and a variable that is missing or closed */
export function filledIn(key: string, written: string, env: Environment, use?: VariableUse): string {
  const { text, missing, closed = [] } = expandEnvironment(written, env, use);
  if (closed[0] !== undefined)
    throw new OutboxError('OUTBOX_VARIABLE_CLOSED', `${key}: ${closed[0]}`, { hint: closedHint });
  if (missing.length > 0)
    throw new OutboxError(
      'OUTBOX_CONFIG_INVALID',
      `${key} needs ${missing.join(', ')}, missing or empty in the environment`,
    );
  return text;
}
