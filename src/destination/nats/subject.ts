/** Subjects: dotted names that select a stream, and that must not select anything else. */
import { refused } from '../shared/failures.ts';
import { Template } from '../shared/template.ts';

/** What separates protocol fields, what is a wildcard, and the escape itself. */
const unfit = /[\s\u0000-\u001f\u007f*>%]/gu;
const bytesMax = 4096 - 512;

/**
 * A filled template as a subject: characters that no subject may hold are escaped as in a URL.
 * @throws SendFailure `invalid-message` for an empty token, or what is the server's own: an event must not reach its administration
 */
export function subjectOf(text: string): string {
  const subject = text.replace(unfit, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
  const problem = problemOf(subject);
  if (problem !== null)
    throw refused('invalid-message', `its subject ${JSON.stringify(subject.slice(0, 120))} ${problem}`);
  return subject;
}

function problemOf(subject: string): string | null {
  if (subject.split('.').includes('')) return 'has an empty part between dots';
  if (subject.startsWith('$') || subject.startsWith('_INBOX.'))
    return 'is one of the server’s own, which no event may write to';
  return Buffer.byteLength(subject) > bytesMax ? `is longer than ${bytesMax} bytes` : null;
}

/** What a template that is right may not say as a subject; null when nothing. */
export function templateProblem(written: string): string | null {
  const [first = ''] = written.split('{');
  if (first.startsWith('$') || first.startsWith('_INBOX.'))
    return 'expected a subject that is not the server’s own ($…, _INBOX.…)';
  const template = new Template(written);
  if (/[\s*>]/.test(literalsOf(written)))
    return 'expected a subject to write to, without spaces and wildcards (*, >)';
  if (template.isConstant && written.split('.').includes(''))
    return 'expected a subject without empty parts between dots';
  return null;
}

/** Placeholders taken out. */
function literalsOf(written: string): string {
  return written.replace(/\{[^}]*\}/g, '');
}

/** The subjects that a template can come to: `orders.{type}` → `orders.>`. */
export function subjectsOf(written: string): string {
  const template = new Template(written);
  if (template.isConstant) return written;
  const tokens = written.slice(0, written.indexOf('{')).split('.').slice(0, -1);
  return [...tokens, '>'].join('.');
}
