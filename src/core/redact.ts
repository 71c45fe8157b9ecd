import type { Environment } from './secrets.ts';
import { showUrl } from './shownUrl.ts';

/** Shorter ones are words that ordinary lines are made of. */
const shortest = 8;

/**
 * Hides what must not be read in a log or an answer: the values of the environment's variables that are named like secrets, and
 * user and password of every URL. Ours say no secret in the first place; texts of drivers, servers and libraries are not ours.
 */
export function redactorFor(env: Environment): (text: string) => string {
  const secrets = new Set<string>();
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (/secret|token|passw|credential|key\b|key$|_pwd$/i.test(name)) secrets.add(value);
    const password = passwordOf(value);
    if (password !== undefined) secrets.add(password).add(encodeURIComponent(password));
    for (const part of partsOf(value)) secrets.add(part);
  }
  const inJson = [...secrets].flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  const hidden = [...new Set(inJson)].filter((secret) => secret.length >= shortest);
  // The longest first: one may contain another.
  hidden.sort((a, b) => b.length - a.length);
  return (text) => {
    const withoutUsers = text.includes('://') ? text.replace(userInfo, '$1***@') : text;
    return hidden.reduce((shown, secret) => shown.replaceAll(secret, '***'), withoutUsers);
  };
}

/** `scheme://user:password@` and `scheme://token@`. */
const userInfo = /([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@"'<>]{1,1000}@/gi;

/** Parts of an address that are as good as a password. */
function partsOf(value: string): readonly string[] {
  return /^https?:\/\//i.test(value) && URL.canParse(value) ? showUrl(new URL(value), '').secrets : [];
}

function passwordOf(value: string): string | undefined {
  if (!value.includes('://') || !URL.canParse(value)) return undefined;
  try {
    return decodeURIComponent(new URL(value).password) || undefined;
  } catch {
    return new URL(value).password;
  }
}
