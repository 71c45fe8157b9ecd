import { signal } from '@preact/signals';
import { ask, Refused, signedOut, spoken } from './api.ts';
import type { Me } from './types.ts';

export const me = signal<Me | null>(null);
/** Why it is not known who is here. */
export const meError = signal<string | null>(null);

export async function readMe(): Promise<void> {
  try {
    me.value = await ask<Me>('/me');
    meError.value = null;
    signedOut.value = false;
    document.title = `${me.value.instance.title} · outbox`;
  } catch (error) {
    if (error instanceof Refused && error.problem.status === 401) return;
    meError.value = spoken(error);
  }
}

/** Null: I may. */
export function whyNot(need: 'look' | 'payloads' | 'act' | 'admin'): string | null {
  const known = me.value;
  return known === null ? 'it is not known yet who you are' : known.whyNot[need];
}
