import { printable } from '../core/printable.ts';
import { whoDidText } from '../core/whoDid.ts';
import type { AuditLine, FirstWord } from '../storage/audit.ts';
import { shortTime } from './spokenTime.ts';

/** A line of the audit as `show` commands print it. */
export function auditText(line: AuditLine): string {
  const { at, action, via, outcome, message, reason } = line;
  const why = reason === null ? '' : ` (${printable(reason)})`;
  const who = printable(whoDidText(line));
  return `${shortTime(at)}  ${action} by ${who} via ${via}: ${outcome}, ${printable(message)}${why}`;
}

/** What waits for a second person, as `show` commands print it. */
export function firstWordText({ action, letters, person, reason, until }: FirstWord): string {
  const what = letters === 1 ? action : `${action} of ${letters} letters`;
  const why = reason === null ? '' : ` (${printable(reason)})`;
  return `${what}, said by ${printable(person)}${why}; until ${shortTime(until)} UTC`;
}
