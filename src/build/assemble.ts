/** Completes `dist` after tsc: the SQL files, and the workflow bundle that published workers load instead of webpack. */
import { createHash } from 'node:crypto';
import { chmod, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const dist = new URL('../../', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, dist));

await cp(at('../src/storage/migrations'), at('src/storage/migrations'), { recursive: true });
await chmod(at('src/cli/main.js'), 0o755).catch(() => undefined);
await bundleWorkflows();

/** Webpack takes seconds; nothing is done when no input changed since the last bundle. */
async function bundleWorkflows(): Promise<void> {
  const inputs = await hashOf(['workflows/', 'src/core/']);
  const stamp = at('workflow-bundle.sha256');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === inputs) return;
  const quiet = (): void => undefined;
  const report = (message: string): boolean => process.stderr.write(`${message}\n`);
  const { code } = await bundleWorkflowCode({
    workflowsPath: at('workflows/index.js'),
    logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: report, error: report },
  });
  await writeFile(at('workflow-bundle.js'), code);
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
