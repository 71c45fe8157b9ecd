/**
 * docker-compose.yml without a container engine: it validates against the published schema, its references hold, and our
 * commands in it are ones the CLI has. compose-spec/NOTICE says where the schema is from.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { defaultPorts } from '../../src/cli/ports.ts';
import { apiAt } from '../../src/http/apiConfig.ts';
import { unknownIn } from '../support/cliHelp.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  spawnRun,
  startTcpProxy,
  type SpawnedRun,
} from '../support/index.ts';
import type { HttpDestinationConfig } from '../../src/destination/http/config.ts';
import { onlyWithEverything } from '../support/everything.ts';

const repository = join(import.meta.dirname, '..', '..');

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command?: string | readonly string[];
  readonly entrypoint?: readonly string[];
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: object;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly container_name?: string;
  readonly restart?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<string, { readonly file?: string; readonly content?: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const text = await readFile(join(repository, 'docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
const ours = services.filter(([, { build }]) => build !== undefined);

async function validator() {
  const schema = JSON.parse(
    await readFile(join(import.meta.dirname, 'compose-spec', 'compose-spec.json'), 'utf8'),
  ) as object;
  // The schema uses formats and keywords that only its own tools know.
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  return ajv.compile(schema);
}

test('it is valid by the schema of the Compose Specification', async () => {
  const validate = await validator();
  validate(compose);
  expect(validate.errors ?? []).toEqual([]);
  expect(validate({ services: { a: { imagine: 'postgres' } } })).toBe(false);
});

test('each dependency is a service that can meet its condition', () => {
  const unmet = services.flatMap(([name, { depends_on = {} }]) =>
    Object.entries(depends_on)
      .filter(([other, { condition }]) => !canMeet(compose.services[other], condition))
      .map(([other, { condition }]) => `${name}: ${other} cannot be ${condition}`),
  );
  expect(unmet).toEqual([]);
});

function canMeet(service: Service | undefined, condition: string): boolean {
  if (service === undefined) return false;
  return condition === 'service_healthy' ? service.healthcheck !== undefined : true;
}

test('what runs to its end is waited for as such, what stays is not', () => {
  const endings = ['temporal-schema', 'temporal-namespace', 'migrate'];
  for (const [name, { depends_on = {} }] of services) {
    for (const [other, { condition }] of Object.entries(depends_on)) {
      const expected = endings.includes(other) ? 'service_completed_successfully' : 'service_healthy';
      expect(`${name} → ${other}: ${condition}`).toBe(`${name} → ${other}: ${expected}`);
    }
  }
});

test('configs and volumes that services name exist, and the files they are made of', async () => {
  for (const [, { configs = [], volumes = [] }] of services) {
    for (const { source } of configs) expect(Object.keys(compose.configs)).toContain(source);
    for (const volume of volumes) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
  }
  for (const { file, content } of Object.values(compose.configs)) {
    expect((content ?? (await readFile(join(repository, file ?? ''), 'utf8'))).trim()).not.toBe('');
  }
});

test('ports are open to this machine alone', () => {
  const ports = services.flatMap(([, service]) => service.ports ?? []);
  expect(ports).toHaveLength(5);
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

test('no two services want the same port, and only the API has the one that it takes by default elsewhere', () => {
  const wanted = services.flatMap(([name, service]) =>
    (service.ports ?? []).map((port) => ({ name, port: withDefaults(port).split(':')[1] })),
  );
  expect(new Set(wanted.map(({ port }) => port)).size).toBe(wanted.length);
  const { listen } = apiAt(null, undefined, {});
  expect(wanted.filter(({ port }) => port === String(listen.port))).toMatchObject([{ name: 'api' }]);
  const ui = wanted.find(({ name }) => name === 'temporal-ui');
  expect(ui?.port).toBe(String(defaultPorts.ui));
  const link = compose.services['outbox']?.environment?.['TEMPORAL_UI_URL'] ?? '';
  expect(withDefaults(link)).toBe(`http://localhost:${ui?.port}`);
});

test('images are pinned, and no name keeps a service from being scaled', () => {
  const loose = services.filter(([, { image }]) => !/:\d/.test(image));
  expect(loose).toEqual([]);
  expect(services.filter(([, service]) => service.container_name !== undefined)).toEqual([]);
  expect(text).not.toMatch(/^version:|:latest/m);
});

test('the server finds its dynamic configuration where it is told to look', () => {
  const { environment = {}, configs = [] } = compose.services['temporal'] ?? {};
  const path = environment['DYNAMIC_CONFIG_FILE_PATH'];
  expect(configs.map(({ target }) => target)).toContain(path);
});

test('each command of ours exists with its options, and so do those that the comments tell', () => {
  const told = [...text.matchAll(/exec outbox temporal-outbox (.*)$/gm)].map(([, line = '']) =>
    wordsOf(line),
  );
  const commands = [...ours.map(([, { command = [] }]) => [command].flat()), ...told];
  expect(commands).toHaveLength(6);
  expect(commands.flatMap(unknownIn)).toEqual([]);
  expect(unknownIn(['rum'])).toEqual(['no command rum']);
});

function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '');
}

test('the configuration it mounts is valid with the environment it sets', async () => {
  const { environment = {} } = compose.services['outbox'] ?? {};
  const env = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, withDefaults(value)]),
  );
  const { config, warnings } = await loadConfig(join(repository, 'examples/compose/outbox.yaml'), env);
  expect(warnings).toEqual([]);
  const [destination] = config.destinations as HttpDestinationConfig[];
  expect(Object.keys(compose.services)).toContain(new URL(destination?.url ?? '').hostname);
  expect(environment['OUTBOX_CONFIG']).toBe(compose.services['migrate']?.configs?.[0]?.target);
});

/** `${NAME:-default}`, of nothing set. */
function withDefaults(value: string): string {
  return value.replace(/\$\{\w+:-([^}]*)\}/g, '$1');
}

test('its commands, run outside of containers, deliver an order to its receiver and park a refused one', async (context) => {
  onlyWithEverything(context, 'processes of their own');
  const database = await createTestDatabase({ migrated: false });
  const receiver = await startExampleReceiver();
  const env = {
    ORDERS_SIGNING_SECRET: withDefaults(
      compose.services['outbox']?.environment?.['ORDERS_SIGNING_SECRET'] ?? '',
    ),
    OUTBOX_CONFIG: await configurationFor(database.name, receiver.port),
  };
  const run = (...args: string[]) => runCli(args, { databaseUrl: database.url, env });
  expect(await run('migrate')).toMatchObject({ code: 0 });
  spawnRun({ databaseUrl: database.url, env });
  expect(await run('send', 'order.created', '--payload', '{"total": 1}')).toMatchObject({ code: 0 });
  expect(await run('send', 'order.created', '--payload', '{"total": -1}')).toMatchObject({ code: 0 });
  await eventually(() => expect(receiver.said()).toMatch(/204 .* attempt 1: {"total": 1}/));
  await eventually(async () => {
    expect(await database.rows('select last_status from outbox.dead_letters')).toEqual([
      { last_status: 422 },
    ]);
  });
  expect(await run('status', '--json')).toMatchObject({ code: 0 });
});

/** The command of the image's HEALTHCHECK, run as the engine would, beside a process that serves at this port. */
async function healthcheck(port: number): Promise<number | null> {
  const dockerfile = await readFile(join(repository, 'Dockerfile'), 'utf8');
  const [, command = '[]'] = /^HEALTHCHECK[\s\S]*?CMD (\[.*\])$/m.exec(dockerfile) ?? [];
  const [program, ...args] = JSON.parse(command) as string[];
  expect(program).toBe('node');
  const child = spawn(process.execPath, args, {
    env: { OUTBOX_METRICS_LISTEN: `0.0.0.0:${port}` },
    stdio: 'ignore',
  });
  return new Promise((resolve) => child.once('exit', resolve));
}

/** Where the process says that it serves metrics and health. */
async function healthPort(spawned: SpawnedRun): Promise<number> {
  return eventually(() => {
    const [, port] = /"metrics":"http:\/\/[^"]*:(\d+)"/.exec(spawned.stdout()) ?? [];
    expect(port).toBeDefined();
    return Number(port);
  });
}

test.for([
  ['run', 'run'],
  ['relay', 'relay'],
  ['worker', 'worker'],
  ['api', ...[compose.services['api']?.command ?? []].flat()],
])(
  'the image’s HEALTHCHECK passes beside %s, and fails once PostgreSQL is away from it',
  async ([who, ...args], context) => {
    if (who !== 'run') onlyWithEverything(context, 'a sibling is shown');
    const database = await createTestDatabase();
    await applyTestConfig(
      database,
      `
    destinations: { billing: { type: http, url: 'http://127.0.0.1:9/' } }
    routes: [{ match: '*', to: [billing] }]`,
    );
    const url = new URL(database.url);
    const proxy = await startTcpProxy(url.host);
    url.host = proxy.address;
    const spawned = spawnRun({
      databaseUrl: url.href,
      // Ports of its own in place of the container's.
      args: args.map((argument) => argument.replace('0.0.0.0:8080', '127.0.0.1:0')),
      env: {
        OUTBOX_METRICS_LISTEN: '0.0.0.0:0',
        OUTBOX_API_TOKEN: withDefaults(compose.services['api']?.environment?.['OUTBOX_API_TOKEN'] ?? ''),
      },
    });
    const port = await healthPort(spawned);
    await eventually(async () => expect(await healthcheck(port)).toBe(0));
    await proxy.become('refuse');
    await eventually(async () => expect(await healthcheck(port)).toBe(1));
  },
);

test('the image’s HEALTHCHECK fails where nobody answers', async () => {
  expect(await healthcheck(9)).toBe(1);
});

test('services of ours that stay have a health check, the image’s own', () => {
  const staying = ours.filter(([, { restart }]) => restart === 'unless-stopped');
  expect(staying.map(([name]) => name)).toEqual(['outbox', 'api', 'dashboard']);
  for (const [name, { healthcheck: check }] of staying)
    if (name === 'dashboard') expect(JSON.stringify(check)).toContain('http://127.0.0.1:8800/');
    else expect(check).not.toHaveProperty('test');
});

async function startExampleReceiver(): Promise<{ port: number; said: () => string }> {
  const program = join(repository, compose.configs['receiver']?.file ?? '');
  const child = spawn(process.execPath, [program], {
    env: { PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atEnd(() => child.kill());
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const port = await eventually(() => {
    const [, found] = /listening on ([1-9]\d*)/.exec(said) ?? [];
    expect(found).toBeDefined();
    return Number(found);
  });
  return { port, said: () => said };
}

/** The example's configuration, with an address that this machine can resolve and a name of the test's own. */
async function configurationFor(name: string, port: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-compose-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const example = await readFile(join(repository, compose.configs['outbox']?.file ?? ''), 'utf8');
  const adapted = example
    .replace('name: orders', `name: ${name}`)
    .replace('http://receiver:8090', `http://127.0.0.1:${port}`)
    .replace('0.0.0.0:8800', '127.0.0.1:0');
  await writeFile(join(folder, 'outbox.yaml'), adapted);
  return join(folder, 'outbox.yaml');
}
