import pc from 'picocolors';
import { jsonText, printable, printableLines, printablePaintedLines } from '../core/printable.ts';

export type Colours = ReturnType<typeof pc.createColors>;

/** Where a command writes: results to stdout, everything about them to stderr. */
export interface Output {
  readonly json: boolean;
  readonly colours: Colours;
  /** The result: one JSON value with --json, else what `text` makes of it. Text ends with a line break. */
  readonly result: (value: unknown, text: (colours: Colours) => string) => void;
  /** A line about what is going on, on stderr. */
  readonly note: (line: string) => void;
  readonly warn: (line: string) => void;
}

export function createOutput(json: boolean): Output {
  // picocolors knows NO_COLOR, FORCE_COLOR and TERM=dumb, but not that --json is for programs.
  const colours = coloursFor(process.stdout, json);
  const errorColours = coloursFor(process.stderr, json);
  return {
    json,
    colours,
    result: (value, text) =>
      void process.stdout.write(json ? `${jsonText(value)}\n` : onScreen(text(colours), colours)),
    note: (line) => void process.stderr.write(`${errorColours.dim(printable(line))}\n`),
    warn: (line) => void process.stderr.write(`${errorColours.yellow('warning')} ${printable(line)}\n`),
  };
}

/**
 * Whatever a text was made of, no control code but ours reaches a terminal. That a line of it is not forged is up to those who make
 * the text: they put what is foreign through `printable`, `table` and `facts`.
 */
export function onScreen(text: string, colours: Colours): string {
  return colours.isColorSupported ? printablePaintedLines(text) : printableLines(text);
}

export function coloursFor(stream: NodeJS.WriteStream, json = false): Colours {
  return pc.createColors(!json && stream.isTTY === true && pc.isColorSupported);
}
