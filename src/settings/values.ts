/** Rules about values that may be secrets or come from the environment. No message here shows one. */
import { expandEnvironment } from '../core/environment.ts';
import { whyClosed, type VariableUse } from '../core/reserved.ts';
import { isMalformedReference, readVariable, secretName } from '../core/secrets.ts';
import type { KeyPath } from './findings.ts';
import type { RuleContext } from './ruleContext.ts';

/** The value of `env:NAME`, a literal as it is; undefined when there is nothing to check, which is then reported. */
export function resolveWritten(
  path: KeyPath,
  written: string,
  context: RuleContext,
  use: VariableUse = 'sent',
): string | undefined {
  if (isMalformedReference(written)) {
    context.findings.problem(path, 'expected env:NAME, with letters, digits and _ in NAME');
    return undefined;
  }
  const name = secretName(written);
  if (name === null) return written;
  const closed = whyClosed(name, context.env, use);
  if (closed !== null) {
    context.findings.problem(path, closed, 'OUTBOX_VARIABLE_CLOSED');
    return undefined;
  }
  const value = readVariable(context.env, name);
  if (value === undefined) reportMissing(path, name, context, 'OUTBOX_SECRET_MISSING');
  return value;
}

/**
 * A secret as brokers take it: `env:NAME`, or a literal with a warning. Answers the value, undefined when there is none.
 */
export function checkSecret(path: KeyPath, written: string, context: RuleContext): string | undefined {
  const value = resolveWritten(path, written, context);
  if (value === undefined) return undefined;
  if (secretName(written) === null) warnInline(path, context);
  refusePlaceholder(path, written, context);
  return value;
}

/** Answers the value, undefined when there is none. */
export function checkCredential(
  path: KeyPath,
  written: string,
  context: RuleContext,
  use: VariableUse = 'sent',
): string | undefined {
  const value = resolveWritten(path, written, context, use);
  if (value === undefined) return undefined;
  const problem = headerValueProblem(value);
  if (problem !== null) context.findings.problem(path, problem);
  if (secretName(written) === null) warnInline(path, context);
  refusePlaceholder(path, written, context);
  return value;
}

/** What undici takes: Latin-1 without control characters, tab excepted. */
export function headerValueProblem(value: string): string | null {
  if (/[\r\n\u0000]/.test(value)) return 'expected one line without NUL, carriage return or line feed';
  return /^[\t\u0020-\u007e\u00a0-\u00ff]*$/.test(value)
    ? null
    : 'expected printable Latin-1 characters; encode others, as in a URL';
}

/**
 * A text with its `${NAME}` filled in from the environment; undefined, with what is wrong noted, where one is missing, closed or badly
 * written.
 */
export function expandWritten(
  path: KeyPath,
  written: string,
  context: RuleContext,
  use?: VariableUse,
): string | undefined {
  const { findings } = context;
  const { text, missing, closed = [], malformed } = expandEnvironment(written, context.env, use);
  if (malformed)
    findings.problem(path, 'expected ${NAME}, with letters, digits and _ in NAME and nothing else');
  for (const name of missing) reportMissing(path, name, context);
  for (const why of closed) findings.problem(path, why, 'OUTBOX_VARIABLE_CLOSED');
  return malformed || missing.length > 0 || closed.length > 0 ? undefined : text;
}

function reportMissing(
  path: KeyPath,
  name: string,
  context: RuleContext,
  code?: 'OUTBOX_SECRET_MISSING',
): void {
  const message = `the environment variable ${name} is missing or empty`;
  if (context.missingEnvironment === 'warn') context.findings.warning(path, message);
  else context.findings.problem(path, `expected a value, but ${message}`, code);
}

export function warnInline(path: KeyPath, context: RuleContext): void {
  context.findings.warning(
    path,
    'a secret is written in the file and would be stored in the database; use env:NAME',
  );
}

/** Filled in only in url: everywhere else it would be sent as it stands. */
export function refusePlaceholder(path: KeyPath, written: string, context: RuleContext): void {
  if (/\$\{[^}]*\}/.test(written))
    context.findings.problem(
      path,
      '${NAME} is filled in only in url and circuit.probeUrl; use env:NAME here',
    );
}
