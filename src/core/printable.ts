/**
 * The one place that makes text of strangers fit to be read: names, answers, reasons, errors of servers, contents of files. Nothing in it
 * moves the cursor or the eye, and nothing in it can look like a line of ours. Programs get exact data: {@link jsonText}.
 */

// Controls, formatting (the bidirectional marks are among them), private use, surrogates without a partner, unassigned code points,
// the line and paragraph separators, and letters that show nothing.
const unprintable = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]/u;
const everyUnprintable = new RegExp(unprintable.source, 'gu');

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One printable line, of at most `maximum` characters where that is given; an escape is never cut in two. */
export function printable(text: string, maximum = Number.POSITIVE_INFINITY): string {
  if (maximum === Number.POSITIVE_INFINITY) return text.replace(everyUnprintable, escapeCharacter);
  let line = '';
  for (const character of text) {
    const piece = unprintable.test(character) ? escapeCharacter(character) : character;
    if (line.length + piece.length > maximum) break;
    line += piece;
  }
  return line;
}

/** A text of several lines of ours: the line breaks stay. Each line has to be printable where it was made of foreign text. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line))
    .join('\n');
}

/** The same with the colours that `paint` gives: the escape codes for bold, dim and the colours stay, and nothing else does. */
export function printablePainted(line: string): string {
  return line
    .split(paint)
    .map((piece, index) => (index % 2 === 1 ? piece : printable(piece)))
    .join('');
}

export function printablePaintedLines(text: string): string {
  return text.split('\n').map(printablePainted).join('\n');
}

const paint = /(\u001b\[\d{1,2}m)/;

/** JSON in one line: the same value for whoever parses it, and nothing that a terminal would act on. */
export function jsonText(value: unknown): string {
  return printableJson(JSON.stringify(value));
}

/** Of JSON that is written already. What JSON itself leaves raw (C1 controls, bidirectional marks, line separators) is escaped in its own way. */
export function printableJson(json: string): string {
  return json.replace(everyUnprintable, (character) =>
    // The line break at the end of a line of a log.
    character === '\n' ? character : inUnits(character),
  );
}

function inUnits(character: string): string {
  return Array.from(
    { length: character.length },
    (_unit, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
  ).join('');
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return shortEscapes[character] ?? `\\u{${code.toString(16)}}`;
}
