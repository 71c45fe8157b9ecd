/** JSON as text: what is shown, edited and sent is never made of JavaScript's numbers and objects, which lose digits and names. */

/** Indented by two spaces. `text` must be what JSON.parse takes; every string and number stays as it was written. */
export function pretty(text: string): string {
  const tokens = text.match(/"[^"\\]*(?:\\[\s\S][^"\\]*)*"|[-+.\w]+|[{}[\],:]/g) ?? [];
  const parts: string[] = [];
  let depth = 0;
  const line = (): number => parts.push('\n', '  '.repeat(depth));
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    if (token === '{' || token === '[') {
      parts.push(token);
      if (next === '}' || next === ']') continue;
      depth++;
      line();
    } else if (token === '}' || token === ']') {
      const before = tokens[index - 1];
      if (before !== '{' && before !== '[') {
        depth--;
        line();
      }
      parts.push(token);
    } else if (token === ',') {
      parts.push(token);
      line();
    } else parts.push(token === ':' ? ': ' : token);
  }
  return parts.join('');
}

/** Null: it is JSON. Otherwise what is wrong, in one line. */
export function jsonProblem(text: string): string | null {
  if (text.trim() === '') return 'it is empty; expected JSON';
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? 'it is no JSON') : 'it is no JSON';
  }
}

/** Bytes as people read them, sixteen a row. */
export function rows16(
  bytes: Uint8Array,
): { readonly at: string; readonly hex: string; readonly text: string }[] {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const some = [...bytes.subarray(at, at + 16)];
    rows.push({
      at: at.toString(16).padStart(8, '0'),
      hex: some.map((byte) => byte.toString(16).padStart(2, '0')).join(' '),
      text: some.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join(''),
    });
  }
  return rows;
}

export function bytesOf(base64: string): Uint8Array {
  const text = atob(base64);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
