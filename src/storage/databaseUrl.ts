/** The address of a database as people write it: what cannot be right is refused before it leads anywhere, and is never repeated. */
import { OutboxError } from '../errors.ts';

const notOne = 'is not an address of PostgreSQL';

/**
 * `pg` throws a bare URIError for a raw `%`, and takes what follows an unescaped `@`, `#`, `/` or `?` for the host: a piece of the
 * password would then stand in every message.
 *
 * @throws OutboxError OUTBOX_DATABASE_URL_INVALID; `name` says where the address came from
 */
export function assertDatabaseUrl(url: string, name = 'the database URL'): void {
  const fault = faultOf(url);
  if (fault === null) return;
  throw new OutboxError('OUTBOX_DATABASE_URL_INVALID', `${name} ${fault}`, {
    hint: 'It looks like postgresql://user:password@host:5432/database; in user and password % is written %25, @ %40, # %23, / %2F, ? %3F, : %3A.',
  });
}

/** `host:port/database` of a connection URL: fit for a message, without user or password. */
export function describeDatabase(url: string): string {
  if (faultOf(url) !== null) return '(an address that cannot be read)';
  const { host, pathname } = new URL(URL.canParse(url) ? url : url.replace('@/', '@localhost/'));
  return `${host || 'localhost'}${pathname}`;
}

/** Whether it is no address at all; one whose password is badly written is one. */
export function isNoAddress(url: string): boolean {
  return faultOf(url) === notOne;
}

/** What is wrong with it, without a word of it; null when nothing is. */
function faultOf(url: string): string | null {
  const [, rest] = /^postgres(?:ql)?:\/\/(.*)$/s.exec(url) ?? [];
  if (rest === undefined) return notOne;
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const behind = end < 0 ? '' : rest.slice(end);
  const at = authority.split('@').length - 1;
  if (at > 1) return 'has more than one @ before its host: the password holds an unescaped one';
  // Then user and password end behind a character that ends the host, whatever they hold before it.
  if (behind.replace(/[?&][^=@]+=[^&]*/g, '').includes('@'))
    return 'has an @ behind its host: the password holds an unescaped /, ? or #';
  const badly = [authority, behind.split('?')[0] ?? ''].some((part) => !decodes(part));
  if (badly) return 'has a % that begins no %-encoded character';
  if (behind.includes('#')) return 'has an unescaped #';
  // An empty host is a socket, or one in the query.
  return URL.canParse(url) || URL.canParse(url.replace('@/', '@localhost/')) ? null : notOne;
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
