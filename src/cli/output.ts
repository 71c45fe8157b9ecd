import pc from 'picocolors';

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
    result: (value, text) => void process.stdout.write(json ? `${JSON.stringify(value)}\n` : text(colours)),
    note: (line) => void process.stderr.write(`${errorColours.dim(line)}\n`),
    warn: (line) => void process.stderr.write(`${errorColours.yellow('warning')} ${line}\n`),
  };
}

export function coloursFor(stream: NodeJS.WriteStream, json = false): Colours {
  return pc.createColors(!json && stream.isTTY === true && pc.isColorSupported);
}
