import { CommanderError } from 'commander';
import { firstLine } from '../core/firstLine.ts';
import { jsonText, printable, printableLines } from '../core/printable.ts';
import { OutboxError, errorCatalogue, type ErrorCode } from '../errors.ts';
import { ConfigError } from '../settings/findings.ts';
import { innermostWords, isAway } from '../temporal/grpc.ts';
import { coloursFor } from './output.ts';

/** What a command ends with when some of its work was refused or failed; everything about it was already said. */
export class AlreadyReported extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('already reported');
    this.exitCode = exitCode;
  }
}

export interface ReportOptions {
  readonly asJson: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Shown with mistakes that only the command itself could see. */
  readonly usage: string | null;
}

/** Says what went wrong on stderr, without a stack or a secret, and answers the exit code. */
export function reportError(error: unknown, { asJson, env, usage }: ReportOptions): number {
  if (error instanceof AlreadyReported) return error.exitCode;
  if (error instanceof CommanderError) return reportUsage(error, asJson);
  const { code, message, hint, exitCode } = describe(error);
  const shown = withoutSecrets({ code, message, hint: hint ?? null }, env);
  const reminder = code === 'OUTBOX_USAGE' && usage !== null ? `${usage}\n` : '';
  process.stderr.write(asJson ? `${jsonText({ error: shown })}\n` : asText(shown, linesOf(error)) + reminder);
  return exitCode;
}

/** Commander has printed help, or its message and the usage, by now; with --json it printed nothing. */
function reportUsage(error: CommanderError, asJson: boolean): number {
  if (error.exitCode === 0) return 0;
  if (asJson) {
    const message = error.message.replace(/^error: /, '');
    process.stderr.write(`${jsonText({ error: { code: 'OUTBOX_USAGE', message, hint: null } })}\n`);
  }
  return 2;
}

interface Described {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly exitCode: number;
}

/** What PostgreSQL refuses to the login for want of a right; null for any other error. */
export function deniedBy(error: unknown): { readonly code: ErrorCode; readonly hint: string } | null {
  if ((error as { code?: unknown } | null)?.code !== '42501') return null;
  return {
    code: 'OUTBOX_POSTGRES_DENIED',
    hint:
      'Grant outbox_operator (people) or outbox_relay (run, relay, worker) to the user in OUTBOX_DATABASE_URL; ' +
      'migrate is for the owner of the schema, outbox_migrator.',
  };
}

function describe(error: unknown): Described {
  if (error instanceof OutboxError) {
    const { code, message, hint } = error;
    return { code, message, hint, exitCode: errorCatalogue[code].exitCode };
  }
  if (isAway(error)) {
    return {
      code: 'OUTBOX_TEMPORAL_UNREACHABLE',
      message: `Temporal went away meanwhile: ${innermostWords(error)}`,
      hint: 'What was asked for may have been done or not: look, then ask again.',
      exitCode: errorCatalogue.OUTBOX_TEMPORAL_UNREACHABLE.exitCode,
    };
  }
  const message = firstLine(error);
  const denied = deniedBy(error);
  if (denied !== null)
    return { ...denied, message: `PostgreSQL: ${message}`, exitCode: errorCatalogue[denied.code].exitCode };
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  return { code: 'OUTBOX_UNEXPECTED', message: `${name}${message}`, exitCode: 1 };
}

type Shown = { readonly code: string; readonly message: string; readonly hint: string | null };

function asText({ code, message, hint }: Shown, show: (message: string) => string): string {
  const colours = coloursFor(process.stderr);
  const help = hint === null ? '' : `  ${colours.dim(printable(hint))}\n`;
  return `${colours.red('error')} ${colours.bold(code)} ${show(message)}\n${help}`;
}

/** Those that are made of lines of ours keep them; anybody's words are one line. */
function linesOf(error: unknown): (message: string) => string {
  const severalLines =
    error instanceof ConfigError || (error instanceof OutboxError && error.code === 'OUTBOX_SERVER_START');
  return severalLines ? printableLines : printable;
}

/** Our messages hold no secret; those of drivers and servers are not ours. */
function withoutSecrets<T extends Record<string, string | null>>(texts: T, env: ReportOptions['env']): T {
  const secrets = [passwordOf(env['OUTBOX_DATABASE_URL']), env['PGPASSWORD'], env['TEMPORAL_API_KEY']].filter(
    (secret): secret is string => secret !== undefined && secret.length > 3,
  );
  const hide = (text: string | null): string | null =>
    text === null ? null : secrets.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text);
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, hide(text)])) as T;
}

function passwordOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { password } = new URL(url);
  try {
    return decodeURIComponent(password) || undefined;
  } catch {
    return password || undefined; // a raw %: what is at hand
  }
}

/** @throws always: OUTBOX_USAGE */
export function refuseUsage(message: string, hint?: string): never {
  throw new OutboxError('OUTBOX_USAGE', message, hint === undefined ? {} : { hint });
}
