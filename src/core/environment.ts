/** `${NAME}` in addresses: filled in by the process that loads or sends, stored as written. */
import { whyClosed, type VariableUse } from './reserved.ts';
import { readVariable, type Environment } from './secrets.ts';

export interface Expansion {
  /** The text with every known name filled in; unknown ones stay as written. */
  readonly text: string;
  /** Names that are absent or empty, each once. */
  readonly missing: readonly string[];
  /** For each name that is closed to configurations, why; it stays as written. Absent where there is none. */
  readonly closed?: readonly string[];
  /** A `${` that is not followed by a name and `}`, as in `${A:-b}`. */
  readonly malformed: boolean;
}

export function expandEnvironment(text: string, env: Environment, use: VariableUse = 'sent'): Expansion {
  const missing = new Set<string>();
  const closed = new Set<string>();
  const expanded = text.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (written, name: string) => {
    const refusal = whyClosed(name, env, use);
    if (refusal !== null) {
      closed.add(refusal);
      return written;
    }
    const value = readVariable(env, name);
    if (value === undefined) missing.add(name);
    return value ?? written;
  });
  const malformed = /\$\{(?![A-Za-z_][A-Za-z0-9_]*\})/.test(text);
  return {
    text: expanded,
    missing: [...missing],
    malformed,
    ...(closed.size === 0 ? {} : { closed: [...closed] }),
  };
}
