/**
 * Texts with placeholders for parts of an event: topics, subjects, routing keys, message keys.
 *
 * | placeholder | what it becomes |
 * |---|---|
 * | `{type}` `{key}` `{id}` `{source}` | the event's own; the id is that of the revision, as in `webhook-id` |
 * | `{header:NAME}` | a header of the event |
 * | `{$.customer.id}` | what a jsonpath finds in the payload, a text, number or boolean; evaluated by PostgreSQL when the row is loaded |
 * | `{{` `}}` | braces themselves |
 */
import { messageId } from '../../core/messageId.ts';
import type { OutgoingMessage } from '../../core/outcome.ts';
import { nearestWord } from '../../core/nearest.ts';
import { quote, type Findings, type KeyPath } from '../../settings/findings.ts';

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly field: Field }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'path'; readonly path: string };

const fields = ['type', 'key', 'id', 'source'] as const;
type Field = (typeof fields)[number];

export interface TemplateProblem {
  /** From 1: the character where it begins. */
  readonly position: number;
  readonly problem: string;
}

export type Filled =
  | { readonly value: string }
  /** What the event lacks, in words. */
  | { readonly missing: string }
  /** Rows were loaded before this configuration came into force: no fault of the event. */
  | { readonly notLoaded: string };

export class Template {
  readonly written: string;
  readonly #parts: readonly Part[];

  /** @throws Error for what checkTemplate reports */
  constructor(written: string) {
    const parsed = parse(written);
    if (!Array.isArray(parsed)) throw new Error(`${quote(written)}: ${(parsed as TemplateProblem).problem}`);
    this.written = written;
    this.#parts = parsed as readonly Part[];
  }

  /** Whether all events give the same text. */
  get isConstant(): boolean {
    return this.#parts.every(({ kind }) => kind === 'text');
  }

  get paths(): readonly string[] {
    return this.#parts.flatMap((part) => (part.kind === 'path' ? [part.path] : []));
  }

  /** The text for an event. An absent value is no empty one: what stands for it is missing, unless the template is that placeholder alone and `absent` is given. */
  fill(message: OutgoingMessage): Filled {
    let value = '';
    for (const part of this.#parts) {
      if (part.kind === 'text') {
        value += part.text;
        continue;
      }
      const found = valueOf(part, message);
      if (typeof found !== 'string') return found;
      value += found;
    }
    return { value };
  }
}

function valueOf(part: Exclude<Part, { kind: 'text' }>, message: OutgoingMessage): string | Filled {
  if (part.kind === 'field')
    return fieldOf(part.field, message) ?? { missing: `the event has no ${part.field}` };
  if (part.kind === 'header') {
    const value = headerOf(message.headers, part.name);
    return value ?? { missing: `the event has no header ${part.name}` };
  }
  const { extracted } = message;
  if (extracted === undefined || !Object.hasOwn(extracted, part.path))
    return { notLoaded: `${part.path} was not evaluated: the configuration changed meanwhile` };
  return extracted[part.path] ?? { missing: nothingAt(part.path, message) };
}

function nothingAt(path: string, { payload, contentType }: OutgoingMessage): string {
  return typeof payload === 'string'
    ? `the payload has no text, number or boolean at ${path}`
    : `the payload is bytes (${contentType}), in which ${path} finds nothing`;
}

function fieldOf(field: Field, message: OutgoingMessage): string | null {
  return field === 'id' ? messageId(message.eventId, message.revision) : message[field];
}

function headerOf(headers: OutgoingMessage['headers'], name: string): string | undefined {
  const exact = headers[name];
  if (typeof exact === 'string') return exact;
  const lower = name.toLowerCase();
  const alike = Object.keys(headers).find((each) => each.toLowerCase() === lower);
  const value: unknown = alike === undefined ? undefined : headers[alike];
  return typeof value === 'string' ? value : undefined;
}

/** Reports what is wrong with a template, with the place in the text. */
export function checkTemplate(path: KeyPath, written: string, findings: Findings): void {
  const parsed = parse(written);
  if (Array.isArray(parsed)) return;
  const { position, problem } = parsed as TemplateProblem;
  findings.problem(path, `${problem}, at character ${position} of ${quote(written)}`);
}

/** The jsonpaths in a template that is right. */
export function pathsIn(written: string): readonly string[] {
  const parsed = parse(written);
  return Array.isArray(parsed)
    ? (parsed as readonly Part[]).flatMap((part) => (part.kind === 'path' ? [part.path] : []))
    : [];
}

function parse(written: string): readonly Part[] | TemplateProblem {
  const parts: Part[] = [];
  let text = '';
  for (let at = 0; at < written.length;) {
    const character = written[at] as string;
    if ((character === '{' || character === '}') && written[at + 1] === character) {
      text += character;
      at += 2;
    } else if (character === '}') {
      return { position: at + 1, problem: 'expected a { before this }; a brace itself is written twice' };
    } else if (character === '{') {
      const end = endOf(written, at + 1);
      if (end === -1)
        return { position: at + 1, problem: 'expected a } after this {; a brace itself is written twice' };
      const part = placeholder(written.slice(at + 1, end));
      if (typeof part === 'string') return { position: at + 1, problem: part };
      if (text !== '') parts.push({ kind: 'text', text });
      text = '';
      parts.push(part);
      at = end + 1;
    } else {
      text += character;
      at++;
    }
  }
  if (text !== '') parts.push({ kind: 'text', text });
  return parts;
}

/** The closing brace; a jsonpath's own stand in its texts in double quotes, and in `.{1,3}`. */
function endOf(written: string, from: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = from; at < written.length; at++) {
    const character = written[at];
    if (quoted && character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === '{') depth++;
    else if (!quoted && character === '}' && depth-- === 0) return at;
  }
  return -1;
}

const known = '{type}, {key}, {id}, {source}, {header:NAME} or {$.path}';

function placeholder(inside: string): Part | string {
  if (inside.startsWith('$')) return { kind: 'path', path: inside };
  const header = /^header:(.*)$/.exec(inside)?.[1];
  if (header !== undefined)
    return /^[^\s{}"]{1,255}$/.test(header)
      ? { kind: 'header', name: header }
      : 'expected the name of a header after header:';
  const field = fields.find((each) => each === inside);
  if (field !== undefined) return { kind: 'field', field };
  const nearest = nearestWord(inside, fields);
  const hint = nearest === null ? '' : `; did you mean {${nearest}}?`;
  return `expected ${known}, found ${quote(`{${inside}}`)}${hint}`;
}
