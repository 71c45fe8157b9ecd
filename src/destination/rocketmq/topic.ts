/** Names of topics. */
import { refused } from '../shared/failures.ts';
import { Template } from '../shared/template.ts';

const expected = '1 to 127 of a-z, A-Z, 0-9, _, -, % and |, without dots';

/** @throws SendFailure `invalid-message` for what is no name of a topic */
export function topicOf(text: string): string {
  if (/^[\w%|-]{1,127}$/.test(text)) return text;
  throw refused(
    'invalid-message',
    `its topic is ${JSON.stringify(text.slice(0, 120))}; a topic's name is ${expected}`,
  );
}

/** What a template that is right may not say as a topic; null when nothing. */
export function topicProblem(written: string): string | null {
  const { isConstant } = new Template(written);
  const literals = written.replace(/\{[^}]*\}/g, '');
  const isRight = /^[\w%|-]{0,127}$/.test(literals) && (!isConstant || literals !== '');
  return isRight ? null : `expected the name of a topic: ${expected}`;
}
