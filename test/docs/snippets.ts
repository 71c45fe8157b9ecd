import { join } from 'node:path';
import ts from 'typescript';
import { repository, type CodeBlock } from './pages.ts';

/**
 * What the compiler says about TypeScript in the docs, each block a module of its own inside the repository: there
 * `temporal-outbox` is this package as built, and its dependencies are at hand. Names that a block merely uses
 * (`client`, `order`) are declared for it in `given`.
 */
export function typeProblemsIn(blocks: readonly CodeBlock[], given: string): string[] {
  const files = new Map(blocks.map((block, index) => [join(repository, `readme-${index}.ts`), block]));
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    paths: { 'temporal-outbox-client': [join(repository, 'dist/client/esm/src/producer.d.ts')] },
  };
  const declarations = join(repository, 'readme-given.d.ts');
  const host = ts.createCompilerHost(options);
  const disk = ts.createCompilerHost(options);
  const textOf = (path: string): string | undefined =>
    path === declarations ? given : files.has(path) ? `${files.get(path)?.text}\nexport {};\n` : undefined;
  host.fileExists = (path) => textOf(path) !== undefined || disk.fileExists(path);
  host.readFile = (path) => textOf(path) ?? disk.readFile(path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = textOf(path);
    return text === undefined
      ? disk.getSourceFile(path, language, ...rest)
      : ts.createSourceFile(path, text, language);
  };
  const program = ts.createProgram([...files.keys(), declarations], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const block = files.get(file?.fileName ?? '');
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
    return `${block?.place ?? file?.fileName} line ${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}
