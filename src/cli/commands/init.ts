import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseConfig } from '../../config/load.ts';
import { printable } from '../../core/printable.ts';
import { refuseUsage } from '../failure.ts';
import type { Output } from '../output.ts';
import { facts } from '../table.ts';

export interface InitOptions {
  readonly destination?: string;
  readonly url?: string;
  readonly type?: string;
}

const configFile = 'outbox.yaml';
const variablesFile = '.env';

/**
 * `init`: outbox.yaml and the variables it names, in the working directory. A file that is there stays as it is.
 * @throws OutboxError OUTBOX_USAGE when outbox.yaml is there, and nothing is written then
 */
export async function init(out: Output, options: InitOptions): Promise<void> {
  const { destination = 'billing', url = 'http://localhost:8090/hooks', type = 'order.*' } = options;
  if (existsSync(configFile))
    refuseUsage(
      `${configFile} is here already; nothing was written`,
      'temporal-outbox config check says whether it is right.',
    );
  const prefix = destination.toUpperCase().replaceAll('-', '_');
  const variables = {
    [`${prefix}_URL`]: url,
    [`${prefix}_SECRET`]: `whsec_${randomBytes(32).toString('base64')}`,
  };
  const text = configText({ destination, prefix, type });
  // As every file is: a wrong address or pattern is refused before it is written.
  parseConfig(text, { path: configFile, env: variables });
  await writeFile(configFile, text, { flag: 'wx' });
  const left = await writeVariables(variables);
  const ignored = await isIgnored();
  const eventType = type.replaceAll('*', 'created');
  const snippet = snippetFor(eventType);
  const value = {
    files: left === null ? [configFile, variablesFile] : [configFile],
    destination,
    url,
    type,
    snippet,
  };
  out.result(value, (colours) => {
    const { bold, dim } = colours;
    const written: [string, string][] = [[configFile, `events ${type} go to ${destination}, at ${url}`]];
    if (left === null)
      written.push([variablesFile, `its address and a new secret; ${destination} needs the secret too`]);
    return [
      `${bold('written')}\n${facts(
        written.map(([name, what]) => [name, printable(what)]),
        colours,
      )}`,
      left === null ? '' : `${variablesFile} was here and was left alone. Add to it:\n${left}`,
      ignored
        ? ''
        : dim(`Keep ${variablesFile} out of version control: echo ${variablesFile} >> .gitignore\n`),
      `\n${bold('next')}\n` +
        `  npx temporal-outbox dev --env-file ${variablesFile}   ${dim('PostgreSQL and Temporal on this machine, and delivery')}\n` +
        `  npx temporal-outbox config explain --env-file ${variablesFile}   ${dim('what outbox.yaml comes to')}\n`,
      `\n${bold('in your service')}, in the transaction that writes your data\n${snippet}`,
    ].join('');
  });
}

function configText({
  destination,
  prefix,
  type,
}: {
  destination: string;
  prefix: string;
  type: string;
}): string {
  return `# Where events go. Every key: docs/configuration.md. Check it: npx temporal-outbox config check --env-file .env
destinations:
  ${destination}:
    type: http
    url: \${${prefix}_URL}
    signing: { scheme: standard-webhooks, secrets: [env:${prefix}_SECRET] }
routes:
  - match: ${JSON.stringify(type)}
    to: [${destination}]
`;
}

/** Null when the file was written; else the lines that somebody has to add. */
async function writeVariables(variables: Readonly<Record<string, string>>): Promise<string | null> {
  const lines = Object.entries(variables)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}\n`)
    .join('');
  try {
    await writeFile(variablesFile, lines, { flag: 'wx', mode: 0o600 });
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return lines;
    throw error;
  }
}

async function isIgnored(): Promise<boolean> {
  const lines = await readFile('.gitignore', 'utf8').catch(() => '');
  return /^\/?(\.env|\*\.env|\.env\*)\s*$/m.test(lines);
}

function snippetFor(type: string): string {
  return `  import { enqueue } from 'temporal-outbox';

  await client.query('begin');
  await client.query('insert into orders (id, total) values ($1, $2)', [order.id, order.total]);
  await enqueue(client, { type: '${type}', key: order.id, payload: order });
  await client.query('commit');
`;
}
