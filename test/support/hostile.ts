/** What a name, an answer, a reason or an error may hold where somebody means harm; at most 255 bytes, so that it fits an event's type. */
export const hostile =
  'evil\u001b[2J\u001b]8;;https://evil.example/\u0007click\u001b]8;;\u0007\u009b31m\u202egnp\u2066\u200b\u2028FORGED a\nFORGED b\r\nFORGED c ' +
  '[md](https://evil.example/) https://evil.example/ www.evil.example <img src=x> ![i](//evil.example/i) `c` |';

/** The same without line breaks, for what is a single line by itself. */
export const hostileLine = hostile.replace(/[\r\n]+/g, ' ');

/** Nothing in it but line breaks of ours moves the cursor or the eye, and no line of it is forged. */
export function tamedProblem(text: string): string | null {
  const found = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u.exec(text.replaceAll('\n', ''));
  if (found !== null) {
    const code = found[0].codePointAt(0)?.toString(16);
    return `U+${code} in ${JSON.stringify(text.slice(Math.max(0, found.index - 60), found.index + 60))}`;
  }
  const forged = text.split('\n').find((line) => /^\W*FORGED/.test(line));
  return forged === undefined ? null : `a forged line: ${JSON.stringify(forged)}`;
}
