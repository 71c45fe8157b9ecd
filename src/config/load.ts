/** outbox.yaml → {@link OutboxConfig}. The file is read once, checked as a whole, and refused as a whole. */
import { open } from 'node:fs/promises';
import type { OutboxConfig } from '../core/destination.ts';
import type { Environment } from '../core/secrets.ts';
import { OutboxError } from '../errors.ts';
import { advise } from './advice.ts';
import { Findings, type ConfigWarning } from '../settings/findings.ts';
import { reportIssues } from './issues.ts';
import { isMapping } from '../settings/mapping.ts';
import { normalise } from './normalise.ts';
import { checkRules } from './rules.ts';
import { fileSchema } from './schema.ts';
import { withOwnTypes } from '../destination/registry.ts';
import type { DestinationType } from '../destination/type.ts';
import { configBytesMax, readYaml } from './yaml.ts';

export interface ParseOptions {
  /** Named in every message. Default `outbox.yaml`. */
  readonly path?: string;
  /** Fills in `${NAME}` and answers `env:NAME`. Default `process.env`. */
  readonly env?: Environment;
  /**
   * What an absent or empty variable is: `refuse` (default) for processes that send; `warn` for those that only
   * store or print the file, such as `migrate`, which need not hold the secrets.
   */
  readonly missingEnvironment?: 'refuse' | 'warn';
  /** Destination types of your own that the file may name, beside ours. */
  readonly destinationTypes?: readonly DestinationType[];
}

export interface ParsedConfig {
  readonly config: OutboxConfig;
  /** In the file's order. */
  readonly warnings: readonly ConfigWarning[];
}

export interface LoadedConfig extends ParsedConfig {
  readonly source: { readonly path: string; readonly text: string };
}

/**
 * Reads a configuration file.
 * @throws OutboxError OUTBOX_CONFIG_NOT_FOUND when it does not exist or cannot be read
 * @throws ConfigError see {@link parseConfig}
 */
export async function loadConfig(
  path: string,
  env: Environment = process.env,
  options: Pick<ParseOptions, 'missingEnvironment' | 'destinationTypes'> = {},
): Promise<LoadedConfig> {
  const bytes = await readBounded(path);
  const text = decodeUtf8(bytes, path);
  return { ...parseConfig(text, { ...options, path, env }), source: { path, text } };
}

/**
 * Reads a configuration's text. JSON is YAML, so a configuration built in code can be passed as JSON.stringify(…).
 * @throws ConfigError with every problem found, each with line, column, key and what was expected: its code is
 * OUTBOX_SECRET_MISSING or OUTBOX_VARIABLE_CLOSED when nothing else is wrong, else OUTBOX_CONFIG_INVALID
 */
export function parseConfig(text: string, options: ParseOptions = {}): ParsedConfig {
  const { path = 'outbox.yaml', env = process.env, missingEnvironment = 'refuse' } = options;
  const types = withOwnTypes(options.destinationTypes);
  const findings = new Findings(path);
  const file = readFile(text, findings);
  checkRules(file, types, { env, missingEnvironment, findings });
  const schema = fileSchema(types);
  const checked = schema.safeParse(file);
  if (!checked.success) reportIssues(checked.error.issues, { schema, types, input: file }, findings);
  findings.throwIfAny();
  // Nothing was reported, so the schema took it.
  const config = normalise(checked.data as NonNullable<typeof checked.data>, types);
  advise(config, findings);
  return { config, warnings: findings.warningsInOrder() };
}

/** The top-level mapping; anything else ends the reading here. */
function readFile(text: string, findings: Findings): Readonly<Record<string, unknown>> {
  const content = readYaml(text, findings);
  if (content !== undefined && !isMapping(content.value)) {
    const found = content.value === null ? 'the file is empty' : 'found something else';
    findings.problem([], `expected a mapping with the keys destinations and routes; ${found}`);
  }
  if (content !== undefined && isMapping(content.value)) return content.value;
  findings.throwIfAny();
  return {};
}

/** At most one byte more than is allowed: a file of 100 MB is refused without being read. */
async function readBounded(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(configBytesMax + 4);
      let length = 0;
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return buffer.subarray(0, length);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

function notReadable(path: string, cause: unknown): OutboxError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const why = reasons[code] ?? (code === '' ? 'cannot be read' : `cannot be read (${code})`);
  return new OutboxError('OUTBOX_CONFIG_NOT_FOUND', `The configuration file ${path} ${why}`, {
    hint: 'Name the file with --config or OUTBOX_CONFIG; without either it is outbox.yaml in this directory.',
    cause,
  });
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EISDIR: 'is a directory, not a file',
  EACCES: 'cannot be read: permission denied',
};

function decodeUtf8(bytes: Uint8Array, path: string): string {
  // A file cut at the limit may end inside a character; its size is then what is reported.
  if (bytes.length > configBytesMax) return Buffer.from(bytes).toString('latin1');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const findings = new Findings(path);
    findings.problem([], 'expected UTF-8 text');
    findings.throwIfAny();
    throw new Error('unreachable');
  }
}
