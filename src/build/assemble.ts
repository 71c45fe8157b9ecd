/** Completes `dist` after tsc: the SQL files, the workflow bundle that published workers load instead of webpack, the dashboard's page, and the client package. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundlePage } from './bundlePage.ts';
import { bundleWorkflows } from './bundleWorkflows.ts';
import { buildClientPackage } from './clientPackage.ts';

const dist = new URL('../../', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, dist));

await removeStale(['src', 'workflows', 'activities']);
for (const folder of ['src/storage/migrations', 'src/inbox/migrations'])
  await cp(at(`../${folder}`), at(folder), { recursive: true });
await chmod(at('src/cli/main.js'), 0o755).catch(() => undefined);
await writeBundle();
await bundlePage(at('../src/dashboard/page'), at('dashboard'));
await buildClientPackage();

/** What was compiled from a source that is gone, which tsc leaves lying, would be published. */
async function removeStale(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for (const name of await readdir(at(folder), { recursive: true })) {
      const source = `../${folder}/${name}`.replace(/(\.d\.ts|\.js)$/, '.ts');
      if (!existsSync(at(source))) await rm(at(`${folder}/${name}`), { recursive: true, force: true });
    }
  }
}

/** Webpack takes a second; nothing is done when no input changed since the last bundle. */
async function writeBundle(): Promise<void> {
  const inputs = await hashOf(['workflows/', 'src/core/', 'src/build/']);
  const stamp = at('.workflow-bundle.sha256');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === inputs) return;
  const code = await bundleWorkflows(at('..'), at('workflows/index.js'));
  // A worker may be reading the old one.
  await writeFile(at('workflow-bundle.js.new'), code);
  await rename(at('workflow-bundle.js.new'), at('workflow-bundle.js'));
  await writeFile(stamp, inputs);
}

async function hashOf(folders: string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const names = (await readdir(at(folder), { recursive: true }))
      .filter((name) => name.endsWith('.js'))
      .sort();
    for (const name of names) hash.update(name).update(await readFile(at(folder + name)));
  }
  hash.update(await readFile(at('../package-lock.json')).catch(() => ''));
  return hash.digest('hex');
}
