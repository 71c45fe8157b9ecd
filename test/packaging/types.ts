import { dirname, join } from 'node:path';
import ts from 'typescript';

const nodeTypes = join(import.meta.dirname, '..', '..', 'node_modules', '@types');

/** What the compiler says about a program, as strict as it gets, of the files that `counts` picks. */
export function typeErrorsIn(program: string, counts: (path: string) => boolean): string[] {
  const compiled = ts.createProgram([program], {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    // Otherwise the declarations of a package are not looked at, and what they import may be missing.
    skipLibCheck: false,
    typeRoots: [join(dirname(program), 'node_modules', '@types'), nodeTypes],
    types: ['node'],
  });
  return ts
    .getPreEmitDiagnostics(compiled)
    .filter(({ file }) => file === undefined || counts(file.fileName))
    .map(
      (each) => `${each.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(each.messageText, '\n')}`,
    );
}
