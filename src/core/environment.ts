/** `${NAME}` in addresses: filled in by the process that loads or sends, stored as written. */
import { readVariable, type Environment } from './secrets.ts';

export interface Expansion {
  /** The text with every known name filled in; unknown ones stay as written. */
  readonly text: string;
  /** Names that are absent or empty, each once. */
  readonly missing: readonly string[];
  /** A `${` that is not followed by a name and `}`, as in `${A:-b}`. */
  readonly malformed: boolean;
}

export function expandEnvironment(text: string, env: Environment): Expansion {
  const missing = new Set<string>();
  const expanded = text.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (written, name: string) => {
    const value = readVariable(env, name);
    if (value === undefined) missing.add(name);
    return value ?? written;
  });
  const malformed = /\$\{(?![A-Za-z_][A-Za-z0-9_]*\})/.test(text);
  return { text: expanded, missing: [...missing], malformed };
}
