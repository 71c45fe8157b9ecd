/** What reading outbox.yaml turned up: problems, which refuse the file, and warnings, which do not. */
import { jsonText, printable } from '../core/printable.ts';
import { OutboxError, type ErrorCode } from '../errors.ts';
import { counted } from '../core/counted.ts';

/** Keys and list positions from the top of the file: `['destinations', 'billing', 'timeout']`. */
export type KeyPath = readonly (string | number)[];

export interface ConfigWarning {
  readonly file: string;
  /** Both from 1; a byte-order mark is not counted. */
  readonly line: number;
  readonly column: number;
  /** `destinations.billing.timeout`; empty for the file as a whole. */
  readonly key: string;
  /** What was expected. Never contains a secret's value. */
  readonly message: string;
}

export interface ConfigProblem extends ConfigWarning {
  readonly code: ErrorCode;
}

/** How many problems a message prints; `problems` has up to {@link problemsKept}. */
const problemsPrinted = 20;
const problemsKept = 200;

/** Thrown when a configuration is refused; `problems` lists every reason found, in the file's order. */
export class ConfigError extends OutboxError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    super(sharedCode(problems), describeProblems(file, problems), {
      hint: 'Correct the file; nothing was applied. `temporal-outbox config schema` prints every key.',
    });
    this.problems = problems;
  }
}

/** The problems' own code where they agree, else the general one. */
function sharedCode(problems: readonly ConfigProblem[]): ErrorCode {
  const codes = new Set(problems.map((problem) => problem.code));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : 'OUTBOX_CONFIG_INVALID';
}

function describeProblems(file: string, problems: readonly ConfigProblem[]): string {
  const lines = problems.slice(0, problemsPrinted).map((problem) => `  ${describeFinding(problem)}`);
  const more = problems.length - problemsPrinted;
  if (more > 0) lines.push(`  … and ${more} more`);
  return [`${printable(file)} is refused, ${counted(problems.length, 'problem')}:`, ...lines].join('\n');
}

/** One line: `outbox.yaml:7:14  destinations.billing.timeout: expected …`. */
export function describeFinding(finding: ConfigWarning): string {
  const place = `${finding.file}:${finding.line}:${finding.column}`;
  const about = finding.key === '' ? '' : `${finding.key}: `;
  return printable(`${place}  ${about}${finding.message}`);
}

/** `retry.schedule[2]`; names that are not plain words are quoted and cut. */
export function printKey(path: KeyPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      if (/^[A-Za-z_$][\w$-]*$/.test(part) && part.length <= 63) return index === 0 ? part : `.${part}`;
      return `[${quote(part)}]`;
    })
    .join('');
}

/** A value as a message may show it: escaped and cut. Not for anything that may hold a secret. */
export function quote(text: string): string {
  return jsonText(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Where keys and values stand in the file. */
export interface Places {
  /** The value at this path, or the nearest thing around it that is in the file. */
  value(path: KeyPath): Place;
  /** The key itself; falls back like `value`. */
  key(path: KeyPath): Place;
}

/** Collects findings while a file is read. */
export class Findings {
  readonly file: string;
  readonly #warnings: ConfigWarning[] = [];
  readonly #problems: ConfigProblem[] = [];
  #places: Places;

  constructor(file: string) {
    this.file = file;
    const start = { line: 1, column: 1 };
    this.#places = { value: () => start, key: () => start };
  }

  usePlaces(places: Places): void {
    this.#places = places;
  }

  get hasProblems(): boolean {
    return this.#problems.length > 0;
  }

  /** Something about the value at `path`. */
  problem(path: KeyPath, message: string, code: ErrorCode = 'OUTBOX_CONFIG_INVALID'): void {
    this.problemAt(this.#places.value(path), path, message, code);
  }

  /** Something about the key itself: unknown, without effect, written twice. */
  keyProblem(path: KeyPath, message: string): void {
    this.problemAt(this.#places.key(path), path, message);
  }

  /** Something that should be there and is not; it stands where the key around it stands. */
  missing(path: KeyPath, message: string): void {
    this.problemAt(this.#places.key(path.slice(0, -1)), path, message);
  }

  problemAt(place: Place, path: KeyPath, message: string, code: ErrorCode = 'OUTBOX_CONFIG_INVALID'): void {
    if (this.#problems.length >= problemsKept) return;
    const key = printKey(path);
    const known = this.#problems.some((other) => other.key === key && other.message === message);
    if (!known) this.#problems.push({ code, file: this.file, ...place, key, message });
  }

  warning(path: KeyPath, message: string): void {
    this.#warnings.push({ file: this.file, ...this.#places.value(path), key: printKey(path), message });
  }

  warningsInOrder(): ConfigWarning[] {
    return this.#warnings.sort(byPlace);
  }

  throwIfAny(): void {
    if (this.hasProblems) throw new ConfigError(this.file, this.#problems.sort(byPlace));
  }
}

function byPlace(a: ConfigWarning, b: ConfigWarning): number {
  return a.line - b.line || a.column - b.column;
}
