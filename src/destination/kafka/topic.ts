/** Names of topics. */
import { refused } from '../shared/failures.ts';
import { Template } from '../shared/template.ts';

const expected = '1 to 249 of a-z, A-Z, 0-9, ., _ and -';

/** @throws SendFailure `invalid-message` for what is no name of a topic */
export function topicOf(text: string): string {
  if (isTopic(text)) return text;
  throw refused(
    'invalid-message',
    `its topic is ${JSON.stringify(text.slice(0, 120))}; a topic's name is ${expected}`,
  );
}

/** What a template that is right may not say as a topic; null when nothing. */
export function topicProblem(written: string): string | null {
  const isRight = new Template(written).isConstant
    ? isTopic(written)
    : /^[\w.-]*$/.test(written.replace(/\{[^}]*\}/g, ''));
  return isRight ? null : `expected the name of a topic: ${expected}`;
}

function isTopic(text: string): boolean {
  return /^[\w.-]{1,249}$/.test(text) && text !== '.' && text !== '..';
}
