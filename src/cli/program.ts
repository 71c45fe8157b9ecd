/**
 * Every command: its words, options and arguments. What a command does is in commands/ and dlq/, loaded when it is
 * called, so that `--help` and mistakes are answered without loading PostgreSQL or Temporal.
 */
import { Command, Option } from 'commander';
import {
  collectHeader,
  configOption,
  durationOption,
  parseCount,
  parseEventId,
  parseListenAddress,
  parseListenOrOff,
  parseMoment,
  parseMs,
  textOf,
} from './arguments.ts';
import type { ApiOptions } from './commands/api.ts';
import type { DashboardOptions } from './commands/dashboard.ts';
import type { DemoOptions } from './commands/demo.ts';
import type { DevOptions } from './commands/dev.ts';
import type { DoctorOptions } from './commands/doctor.ts';
import type { MigrateOptions } from './commands/migrate.ts';
import type { ServeOptions } from './commands/run.ts';
import type { SendOptions } from './commands/send.ts';
import type { StatusOptions } from './commands/status.ts';
import { addConfigCommands } from './configProgram.ts';
import { addDestinationCommands } from './destinationsProgram.ts';
import { addMessageCommands } from './messagesProgram.ts';
import { addDeadLetterCommands } from './dlqProgram.ts';
import { addRedriveCommands } from './redriveProgram.ts';
import type { SetExitCode } from './exitCode.ts';
import { addKeepingCommands } from './keepingProgram.ts';
import { addRouteCommands } from './routesProgram.ts';
import { addInboxCommands } from './inboxProgram.ts';
import { addSettingUp } from './setupProgram.ts';
import { addTokenCommands } from './tokensProgram.ts';
import { logLevels } from './logLevels.ts';
import { createOutput, type Output } from './output.ts';
import { mistakeText } from './mistakes.ts';
import { printableLines } from '../core/printable.ts';
import { version } from '../version.ts';

export function createProgram(asJson: boolean, setExitCode: SetExitCode): Command {
  const program = new Command('temporal-outbox')
    .description('A PostgreSQL outbox whose rows start durable Temporal workflows.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .addHelpText('after', environmentHelp);
  const out = createOutput(asJson);
  addServing(program, out);
  addSchema(program, out);
  addConfigCommands(program.command('config').description('the configuration file'), out, setExitCode);
  addLooking(program, out, setExitCode);
  addDeadLetterCommands(
    program.command('dlq').description('dead letters: see and resolve them'),
    out,
    setExitCode,
  );
  addRedriveCommands(
    program
      .command('redrive')
      .description('let many dead letters go: frozen, a few first, at a pace, stopped when they fail again'),
    out,
    setExitCode,
  );
  addDestinationCommands(
    program
      .command('destinations')
      .description('circuits and pauses: see how destinations fare, and stop or resume them'),
    out,
    setExitCode,
  );
  addRouteCommands(
    program.command('routes').description('events and the routes they took'),
    out,
    setExitCode,
  );
  addKeepingCommands(program, out);
  addSettingUp(program, out);
  addInboxCommands(
    program.command('inbox').description("the consumer's inbox, in its own database"),
    out,
    setExitCode,
  );
  addMessageCommands(
    program
      .command('messages')
      .description('half messages: see them, and settle those whose producer is silent'),
    out,
    setExitCode,
  );
  addTokenCommands(program.command('tokens').description('who may sign in at the dashboard'), out);
  forAll(program, (command) => {
    command.exitOverride().allowExcessArguments(false);
    command.configureOutput({
      writeErr: asJson ? () => undefined : (text) => void process.stderr.write(printableLines(text)),
      outputError: (text, write) => write(mistakeText(command, text)),
    });
    if (command.commands.length > 0) return;
    command.addOption(
      new Option('--env-file <file>', 'variables of the environment, a line each; those set already stay'),
    );
    command.addOption(new Option('--json', 'for programs: JSON on stdout, errors as JSON on stderr'));
  });
  return program;
}

const environmentHelp = `
Environment:
  OUTBOX_DATABASE_URL  postgresql://user:password@host:5432/database
  OUTBOX_CONFIG        the configuration file, outbox.yaml if not set
  OUTBOX_DESTINATION_TYPES  modules with destination types of your own: ./my-type.js, separated by commas
  TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the others of Temporal's own clients
  TEMPORAL_UI_URL      where the Temporal UI is, for links
  OUTBOX_LOG_LEVEL, OUTBOX_METRICS_LISTEN  for run, relay, worker and api, where the options are not given
  OUTBOX_API_LISTEN    for run, where --api-listen is not given
  OUTBOX_API_DATABASE_URL  for run: the login that its HTTP API uses, a member of outbox_api
  OUTBOX_DASHBOARD_LISTEN  for run, where --dashboard-listen is not given
  OUTBOX_DASHBOARD_DATABASE_URL  for run: the login that its dashboard uses, a member of outbox_operator
  OUTBOX_ENV_ALLOW     for run, worker: the only variables a configuration may name, BILLING_*,STOCK_URL
  OUTBOX_API_TOKEN     for run and api, where the configuration names no tokens of the HTTP API

Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 a server cannot be reached.
`;

function forAll(command: Command, act: (command: Command) => void): void {
  act(command);
  for (const child of command.commands) forAll(child, act);
}

const servingCommands = [
  ['run', 'deliver: relay and worker in one process, the normal way'],
  ['relay', 'the relay alone: claims rows and starts workflows'],
  ['worker', 'the worker alone: runs workflows and activities'],
] as const;

function addServing(program: Command, out: Output): void {
  program
    .command('dev')
    .description('start PostgreSQL, Temporal and everything of ours on this machine')
    .addOption(configOption())
    .option('-d, --data <dir>', 'keep the data of both servers there; without it nothing is kept')
    .action(async (options: DevOptions) => (await import('./commands/dev.ts')).dev(out, options));
  program
    .command('demo')
    .description('a story with real servers: orders, a receiver that fails, a dead letter resolved by signal')
    .option('--exit', 'resolve the dead letter, check everything, and end')
    .addOption(
      new Option('--queue <type>', 'with a queue and a consumer in place of a receiver').choices([
        'rabbitmq',
      ]),
    )
    .action(async (options: DemoOptions) => (await import('./commands/demo.ts')).demo(out, options));
  for (const [name, description] of servingCommands) {
    const command = program
      .command(name)
      .description(description)
      .addOption(configOption())
      .addOption(databasesOption())
      .option('--wait <duration>', 'how long to wait for both servers at start (default: 60s)', parseMs)
      .addOption(logLevelOption())
      .addOption(metricsListenOption('metrics.listen of the configuration, else off'))
      .action(async (options: ServeOptions) => (await import('./commands/run.ts')).serve(out, name, options));
    if (name === 'run') command.addOption(apiListenOption()).addOption(dashboardListenOption());
  }
  program
    .command('api')
    .description('the HTTP API alone, for producers that do not reach PostgreSQL')
    .option(
      '--listen <address>',
      'where (default: api.listen of the configuration, else 127.0.0.1:8080)',
      parseListenAddress,
    )
    .option('--wait <duration>', 'how long to wait for PostgreSQL at start (default: 60s)', parseMs)
    .addOption(logLevelOption())
    .addOption(metricsListenOption('off'))
    .action(async (options: ApiOptions) => (await import('./commands/api.ts')).api(options));
  program
    .command('dashboard')
    .description('the dashboard alone: a page that shows how events fare, and resolves what is stuck')
    .option(
      '--listen <address>',
      'where (default: dashboard.listen of the configuration, else 127.0.0.1:8800)',
      parseListenAddress,
    )
    .option('--wait <duration>', 'how long to wait for PostgreSQL at start (default: 60s)', parseMs)
    .addOption(logLevelOption())
    .action(async (options: DashboardOptions) =>
      (await import('./commands/dashboard.ts')).dashboard(options),
    );
}

function databasesOption(): Option {
  const what = 'the database, or one of several: an address or env:NAME (default: env:OUTBOX_DATABASE_URL)';
  return new Option('--database-url <url>', what).argParser(
    (text: string, others: readonly string[] = []): string[] => [...others, text],
  );
}

function logLevelOption(): Option {
  return new Option('--log-level <level>', 'least important line')
    .choices(logLevels)
    .env('OUTBOX_LOG_LEVEL')
    .default('info');
}

function metricsListenOption(otherwise: string): Option {
  const what = `where /metrics, /healthz and /readyz are served, or off (default: ${otherwise})`;
  return new Option('--metrics-listen <address>', what)
    .env('OUTBOX_METRICS_LISTEN')
    .argParser(parseListenOrOff);
}

function apiListenOption(): Option {
  const what = 'where the HTTP API is served, or off (default: api.listen of the configuration, else off)';
  return new Option('--api-listen <address>', what).env('OUTBOX_API_LISTEN').argParser(parseListenOrOff);
}

function dashboardListenOption(): Option {
  const what =
    'where the dashboard is served, or off (default: dashboard.listen of the configuration, else off)';
  return new Option('--dashboard-listen <address>', what)
    .env('OUTBOX_DASHBOARD_LISTEN')
    .argParser(parseListenOrOff);
}

function addSchema(program: Command, out: Output): void {
  program
    .command('migrate')
    .description('create or upgrade the schema, and apply the configuration file if there is one')
    .addOption(configOption())
    .option('--skip-config', 'the schema only')
    .action(async (options: MigrateOptions) =>
      (await import('./commands/migrate.ts')).migrateCommand(out, options),
    );
}

function addLooking(program: Command, out: Output, setExitCode: SetExitCode): void {
  program
    .command('status')
    .description('what waits, what is parked, who delivers')
    .option('--check', 'for monitors: one line, exit code 1 where a limit is exceeded or no relay is alive')
    .option('--max-lag <duration>', 'with --check: age of the oldest due delivery (default: 5m)', parseMs)
    .option('--max-parked <number>', 'with --check: per destination and producer (default: 0)', parseCount)
    .option('--max-retrying <number>', 'with --check: per destination (default: no limit)', parseCount)
    .option('--max-unrouted <number>', 'with --check: in all (default: no limit)', parseCount)
    .option(
      '--max-housekeeping-age <duration>',
      'with --check: since a pass came to its end (default: 24h)',
      parseMs,
    )
    .action(async (options: StatusOptions) =>
      setExitCode(await (await import('./commands/status.ts')).status(out, options)),
    );
  program
    .command('doctor')
    .description('check both servers and all that lies between, and say what to do')
    .addOption(configOption())
    .option('--adopt', 'hand the rows to the Temporal namespace at hand, when the old one is gone for good')
    .addOption(
      durationOption('--transaction-age <duration>', 'from when on an open transaction is old', '5m'),
    )
    .option('--restored', 'go on in this database after it was set back to an earlier copy, or moved')
    .action(async (options: DoctorOptions) =>
      setExitCode(await (await import('./commands/doctor.ts')).doctor(out, options)),
    );
  program
    .command('send')
    .description('write one event, in a transaction of its own; the payload comes from an option or stdin')
    .argument('<type>', 'event type, such as order.created', textOf(255))
    .option('-p, --payload <json>', 'the payload, kept digit for digit')
    .option('-f, --file <file>', 'read the payload from a file, - for stdin')
    .option('--payload-file <file>', 'a payload of bytes: those of a file, - for stdin; with --content-type')
    .option('--payload-base64 <text>', 'a payload of bytes, in base64; with --content-type')
    .option('--content-type <type>', 'what the payload is; default application/json', textOf(255))
    .option('-k, --key <key>', 'what the event belongs to, such as an order id', textOf(1024))
    .option('-H, --header <name=value>', 'sent with every delivery; repeatable', collectHeader)
    .option('--id <uuid>', 'a UUIDv7 of your own', parseEventId)
    .option('--dedup-key <key>', 'a key of your own that names this event', textOf(1024))
    .option('--deliver-at <moment>', 'not before: 2030-01-31T08:00:00Z, or 10m from now', parseMoment)
    .option('--plain', 'not encrypted, though outbox.yaml has keys')
    .action(async (type: string, options: SendOptions) =>
      (await import('./commands/send.ts')).send(out, type, options),
    );
}
