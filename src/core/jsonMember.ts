/**
 * The text of one member's value, cut out of a JSON object's text as it stands: numbers keep digits that JavaScript cannot hold. Of
 * several members of that name the last, as JSON.parse has it. `json` must be what JSON.parse takes for an object.
 */
export function memberText(json: string, name: string): string | undefined {
  let found: string | undefined;
  let at = skipSpace(json, json.indexOf('{') + 1);
  while (json[at] === '"') {
    const keyEnd = endOfString(json, at);
    const key: unknown = JSON.parse(json.slice(at, keyEnd));
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = endOfValue(json, start);
    if (key === name) found = json.slice(start, end);
    const next = skipSpace(json, end);
    at = json[next] === ',' ? skipSpace(json, next + 1) : next;
  }
  return found;
}

function skipSpace(json: string, at: number): number {
  while (/[ \t\r\n]/.test(json[at] ?? '')) at++;
  return at;
}

/** Behind the closing quote. */
function endOfString(json: string, at: number): number {
  for (at++; json[at] !== '"'; at++) if (json[at] === '\\') at++;
  return at + 1;
}

/** Of a number, true, false or null. */
function endOfScalar(json: string, at: number): number {
  while (/[\w+.-]/.test(json[at] ?? '')) at++;
  return at;
}

function endOfValue(json: string, at: number): number {
  if (json[at] === '"') return endOfString(json, at);
  if (json[at] !== '{' && json[at] !== '[') return endOfScalar(json, at);
  for (let depth = 0; ;) {
    const character = json[at];
    if (character === '"') {
      at = endOfString(json, at);
      continue;
    }
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    at++;
    if (depth === 0) return at;
  }
}
