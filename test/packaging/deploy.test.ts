/** examples/kubernetes and examples/systemd: valid by the published schemas, and what they start is what the CLI has; and what a release says of itself. */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as apps from 'kubernetes-models/apps/v1';
import * as batch from 'kubernetes-models/batch/v1';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config/load.ts';
import { folderWith } from '../cli/commands.ts';
import { unknownIn } from '../support/cliHelp.ts';

const repository = join(import.meta.dirname, '..', '..');

interface PodSpec {
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly image: string;
    readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    readonly readinessProbe?: { readonly httpGet: { readonly path: string; readonly port: string } };
    readonly livenessProbe?: { readonly httpGet: { readonly path: string; readonly port: string } };
  }[];
  readonly volumes: readonly { readonly name: string }[];
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: object } & object;
    readonly podSelector?: { readonly matchLabels: object };
    readonly template?: { readonly metadata: { readonly labels: object }; readonly spec: PodSpec };
  };
}

const text = await readFile(join(repository, 'examples', 'kubernetes', 'outbox.yaml'), 'utf8');
const documents = parseAllDocuments(text);
const manifests = documents.map((document) => document.toJS() as Manifest);

function find(kind: string): Manifest {
  const found = manifests.find((each) => each.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
}

const models = { ...core, ...apps, ...batch, ...policy, ...networking } as unknown as Record<
  string,
  new (data: unknown) => { validate(): void }
>;

function problemOf(manifest: Manifest): string | null {
  const Model = models[manifest.kind];
  if (Model === undefined) return `${manifest.kind} is not known`;
  try {
    new Model(manifest).validate();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

test('every manifest fits the schema of Kubernetes', () => {
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  expect(manifests.map(({ kind }) => kind)).toEqual([
    ...[
      'ConfigMap',
      'Secret',
      'Secret',
      'Job',
      'Deployment',
      'PodDisruptionBudget',
      'Service',
      'NetworkPolicy',
    ],
  ]);
  for (const manifest of manifests) expect(problemOf(manifest), manifest.kind).toBeNull();
});

test('the validator would see a wrong type and a missing key', () => {
  const deployment = find('Deployment');
  expect(problemOf({ ...deployment, spec: { ...deployment.spec, replicas: 'two' as never } })).toContain(
    'replicas',
  );
  expect(problemOf({ ...deployment, spec: { replicas: 2 } })).toContain('selector');
});

test('two processes of run, which end as long as they may, and whose probes, volumes and labels hold together', () => {
  const { spec } = find('Deployment');
  const pod = spec?.template?.spec;
  const [container] = pod?.containers ?? [];
  expect(spec?.replicas).toBe(2);
  expect(pod?.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(30);
  const metrics = container?.ports?.find(({ name }) => name === 'metrics');
  expect(metrics?.containerPort).toBe(9464);
  expect(container?.readinessProbe?.httpGet).toEqual({ path: '/readyz', port: 'metrics' });
  expect(container?.livenessProbe?.httpGet).toEqual({ path: '/healthz', port: 'metrics' });
  const volumes = pod?.volumes.map(({ name }) => name) ?? [];
  for (const { name } of container?.volumeMounts ?? []) expect(volumes).toContain(name);
  const labels = spec?.template?.metadata.labels;
  for (const selected of [
    spec?.selector?.matchLabels,
    find('PodDisruptionBudget').spec?.selector?.matchLabels,
  ])
    expect(labels).toMatchObject(selected ?? { none: true });
  expect(labels).toMatchObject(find('Service').spec?.selector ?? { none: true });
  for (const kind of ['Deployment', 'Job'])
    expect(find(kind).spec?.template?.metadata.labels).toMatchObject(
      find('NetworkPolicy').spec?.podSelector?.matchLabels ?? { none: true },
    );
});

test('their commands are ones that the CLI has, and their configuration is accepted with their secrets', () => {
  for (const kind of ['Deployment', 'Job'])
    for (const { args } of find(kind).spec?.template?.spec.containers ?? [])
      expect(unknownIn(args)).toEqual([]);
  const env = find('Secret').stringData ?? {};
  const { config } = parseConfig(find('ConfigMap').data?.['outbox.yaml'] ?? '', { path: 'outbox.yaml', env });
  expect(config.destinations.map(({ name }) => name)).toEqual(['billing']);
  const container = find('Deployment').spec?.template?.spec.containers[0];
  const path = container?.env.find(({ name }) => name === 'OUTBOX_CONFIG')?.value ?? '';
  expect(container?.volumeMounts.map(({ mountPath }) => `${mountPath}/outbox.yaml`)).toContain(path);
});

test('the unit starts the program itself, and systemd takes it', async (context) => {
  const path = join(repository, 'examples', 'systemd', 'temporal-outbox.service');
  const unit = await readFile(path, 'utf8');
  const [, command = ''] = /^ExecStart=.*main\.js (.*)$/m.exec(unit) ?? [];
  expect(unknownIn(command.split(' '))).toEqual([]);
  expect(unit).toMatch(/^TimeoutStopSec=30$/m);
  let said: string;
  try {
    said = execFileSync('systemd-analyze', ['verify', path], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return context.skip('systemd-analyze is not installed');
    throw error;
  }
  expect(said).toBe('');
});

test('a release names its repository and homepage before anything is built or packed', async () => {
  const workflow = await readFile(join(repository, '.github', 'workflows', 'release.yml'), 'utf8');
  const { jobs } = parse(workflow) as { jobs: { release: { steps: { run?: string }[] } } };
  const runs = jobs.release.steps.map(({ run = '' }) => run);
  const placeOf = (words: string): number => runs.findIndex((run) => run.includes(words));
  const naming = placeOf('npm pkg set');
  expect(naming).toBeGreaterThanOrEqual(0);
  expect(naming).toBeLessThan(Math.min(placeOf('npm run check'), placeOf('npm pack')));
  const cwd = await folderWith({ 'package.json': '{"name":"a","version":"1.0.0"}' });
  const env = {
    ...{ PATH: process.env['PATH'], HOME: cwd },
    ...{ GITHUB_SERVER_URL: 'https://github.com', GITHUB_REPOSITORY: 'someone/outbox' },
  };
  execFileSync('bash', ['-c', runs[naming] ?? ''], { cwd, env });
  expect(JSON.parse(await readFile(join(cwd, 'package.json'), 'utf8'))).toMatchObject({
    repository: { type: 'git', url: 'git+https://github.com/someone/outbox.git' },
    homepage: 'https://github.com/someone/outbox#readme',
  });
});
