/** What a request must look like before its signature is worth a look. */
import { invalid } from '../inbox/message.ts';
import { refusal, type Answer } from './answers.ts';
import { headerOf, type HeaderSource } from './headers.ts';

export const methods = ['POST', 'PUT', 'PATCH'];

/** Answers null when there is nothing wrong with a request's form. */
export type JudgeForm = (method: string, headers: HeaderSource) => Answer | null;

/**
 * @param contentTypes media types such as `application/avro`, `text/*` or `*\/*`; undefined for JSON in UTF-8
 * @throws OutboxError OUTBOX_INBOX_INVALID
 */
export function judgeFormBy(contentTypes: readonly string[] | undefined): JudgeForm {
  const judgeType = contentTypes === undefined ? judgeJson : judgeTypesBy(contentTypes);
  return (method, headers) => {
    if (!methods.includes(method))
      return refusal(405, 'expected POST, PUT or PATCH', { allow: methods.join(', ') });
    const encoding = headerOf(headers, 'content-encoding');
    if (encoding !== undefined && encoding !== 'identity')
      return refusal(415, 'expected a body without encoding');
    return judgeType((headerOf(headers, 'content-type') ?? '').toLowerCase());
  };
}

function judgeJson(contentType: string): Answer | null {
  const [type = '', ...parameters] = contentType.split(';');
  const isJson = /^application\/([\w.!#$&^-]+\+)?json$/.test(type.trim());
  const isUtf8 = parameters.every((each) => !/^\s*charset\s*=/.test(each) || /=\s*"?utf-8"?\s*$/.test(each));
  return isJson && isUtf8 ? null : refusal(415, 'expected application/json in UTF-8');
}

function judgeTypesBy(contentTypes: readonly string[]): (contentType: string) => Answer | null {
  const shape = /^(\*|[\w.!#$&^+-]+)\/(\*|[\w.!#$&^+-]+)$/;
  const taken = [...contentTypes].map((each) => String(each).toLowerCase());
  if (taken.length === 0 || !taken.every((each) => shape.test(each)))
    throw invalid('contentTypes', 'media types such as application/avro, text/* or */*', contentTypes);
  return (contentType) => {
    const type = (contentType.split(';')[0] ?? '').trim();
    const group = type.replace(/\/.*/, '/*');
    return taken.some((each) => each === type || each === group || each === '*/*')
      ? null
      : refusal(415, `expected ${taken.join(' or ')}`);
  };
}
