/**
 * An address as it may be read in messages, attempts and logs. Many receivers are called under addresses that are a password: chat hooks have
 * a token as a part of the path. So of the path there is shown what reads like a word, and nothing of the query but its names.
 */

/** What stands in place of a part that may be a secret. */
const hidden = '***';

/** A part that stands in the file is hidden when it looks made by a machine: long, with digits or mixed case. */
function looksMade(part: string): boolean {
  return (
    part.length >= 40 ||
    (part.length >= 16 && (/\d/.test(part) || (/[A-Z]/.test(part) && /[a-z]/.test(part))))
  );
}

/** One that the environment filled in is hidden unless it is a short word, or a version. */
function isWord(part: string): boolean {
  return /^([a-z]{1,15}([-_.][a-z]{1,15}){0,2}|v\d{1,3})$/.test(part) && part.length <= 24;
}

export interface ShownUrl {
  /** `https://host/path`, parts hidden; a query with its names alone. */
  readonly text: string;
  /** Likewise, without the query. */
  readonly withoutQuery: string;
  /** What is hidden, as it is in the address and decoded: for texts that may repeat it. */
  readonly secrets: readonly string[];
}

/** `written`: the address as in the file, `${NAME}` not filled in; what it does not hold came from the environment. */
export function showUrl(url: URL, written: string): ShownUrl {
  const literal = new Set(written.split(/[/?#]/));
  const secrets = new Set<string>();
  const show = (part: string): string => {
    if (part === '' || (literal.has(part) ? !looksMade(part) : isWord(part))) return part;
    secrets.add(part).add(decoded(part));
    return hidden;
  };
  const withoutQuery = `${url.origin}${url.pathname.split('/').map(show).join('/')}`;
  for (const value of url.searchParams.values()) secrets.add(value).add(encodeURIComponent(value));
  const names = [...url.searchParams.keys()].map((name) => `${encodeURIComponent(name)}=${hidden}`);
  return {
    text: names.length === 0 ? withoutQuery : `${withoutQuery}?${names.join('&')}`,
    withoutQuery,
    // Shorter ones are words that ordinary texts are made of.
    secrets: [...secrets].filter((secret) => secret.length >= 8),
  };
}

/** The address as in the file, for when it cannot be filled in. */
export function showWritten(written: string): string {
  const [path = '', query] = written.split(/\?(.*)/s);
  const parts = path
    .split('/')
    .map((part, index) => (index > 2 && looksMade(part) && !part.includes('${') ? hidden : part));
  const shown = parts.join('/').replace(/(:\/\/)[^/@]*@/, '$1***@');
  return query === undefined ? shown : `${shown}?${query.replace(/=(?!\$\{)[^&]*/g, `=${hidden}`)}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
