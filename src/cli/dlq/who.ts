import type { Resolution } from '../../deadletter/operator.ts';
import { systemUser } from '../../core/systemUser.ts';

/** Options that all resolving commands share. */
export interface WhoOptions {
  readonly reason?: string;
  readonly actor?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

export function whoOf({ reason, actor }: WhoOptions): Pick<Resolution, 'actor' | 'reason'> {
  return { actor: actor ?? systemUser(), ...(reason === undefined ? {} : { reason }) };
}
