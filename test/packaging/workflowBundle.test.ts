import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bundleWorkflows } from '../../src/build/bundleWorkflows.ts';
import { inspectBundle } from '../../src/build/guardWorkflowBundle.ts';

const repository = join(import.meta.dirname, '..', '..');

async function inspectPublished() {
  const code = await readFile(join(repository, 'dist', 'workflow-bundle.js'), 'utf8');
  return { code, findings: await inspectBundle(code, (name) => readFile(join(repository, name), 'utf8')) };
}

/** Bundles `dist/workflows/index.js` of a package made of these files. */
async function bundled(files: Record<string, string>) {
  const root = await mkdtemp(join(tmpdir(), 'outbox-bundle-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await symlink(join(repository, 'node_modules'), join(root, 'node_modules'));
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  const code = await bundleWorkflows(root, join(root, 'dist/workflows/index.js'));
  return inspectBundle(code, (name) => readFile(join(root, name), 'utf8'));
}

const workflow = `export async function deliver() { return used; }`;

test('the published bundle holds only the SDK and pure code of ours, and no path of this machine', async () => {
  const { code, findings } = await inspectPublished();
  expect(findings).toEqual([]);
  expect(code).not.toContain(repository);
  expect(Buffer.from(code.slice(code.lastIndexOf('base64,') + 7), 'base64').toString()).not.toContain(
    repository,
  );
});

test('a workflow that imports storage is refused by name', async () => {
  const findings = await bundled({
    'dist/workflows/index.js': `import { used } from '../src/storage/attempts.js';\n${workflow}`,
    'dist/src/storage/attempts.js': `export const used = 1;`,
  });
  expect(findings.map(({ message }) => message)).toEqual([
    'src/storage/attempts.ts does not belong in a workflow',
    'workflows/index.ts imports ../src/storage/attempts.ts',
  ]);
});

test('so is core that drags a package in', async () => {
  const findings = await bundled({
    'dist/workflows/index.js': `import { used } from '../src/core/retry.js';\n${workflow}`,
    'dist/src/core/retry.js': `import pc from 'picocolors';\nexport const used = pc;`,
  });
  expect(findings).toContainEqual({ module: 'picocolors', message: 'src/core/retry.ts imports picocolors' });
});

test('a bundle that outgrows its bound is refused', async () => {
  const findings = await bundled({
    'dist/workflows/index.js': `const used = '${'x'.repeat(800_000)}';\n${workflow}`,
  });
  expect(findings.map(({ module }) => module)).toEqual([null]);
});
