import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

/** The dashboard's page: one script, one style sheet, no source map; what it is made of is bundled and no dependency of the package. */
export async function bundlePage(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: { app: join(from, 'main.tsx'), styles: join(from, 'styles.css') },
    outdir: to,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['es2022', 'safari16'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'eof',
    charset: 'utf8',
    tsconfigRaw: '{}',
    define: { 'process.env.NODE_ENV': '"production"' },
    write: false,
  });
  for (const { path, contents } of outputFiles) {
    const name = path.endsWith('.css') ? 'app.css' : 'app.js';
    // A dashboard may be starting, and reading the old one.
    await writeFile(join(to, `${name}.new`), contents);
    await rename(join(to, `${name}.new`), join(to, name));
  }
  for (const name of ['index.html', 'icon.svg']) await copyFile(join(from, name), join(to, name));
}
