/** What our code can say: each place that raises an error of ours, with its message and hint as far as the source tells them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';

export interface Raised {
  readonly code: string;
  /** `src/http/server.ts:108` */
  readonly place: string;
  readonly message: RegExp;
  /** Null: none is given. */
  readonly hint: RegExp | null;
}

const repository = join(import.meta.dirname, '..', '..');
/** Of what only a run can tell. */
const anything = '[\\s\\S]+';

/** Every `new OutboxError(code, message, { hint })` and `super(…)` of its subclasses, and what SQL raises for us. */
export async function everythingRaised(): Promise<Raised[]> {
  const sources: ts.SourceFile[] = [];
  const sql: string[] = [];
  for (const folder of ['src', 'activities', 'workflows']) {
    for (const name of await readdir(join(repository, folder), { recursive: true })) {
      const path = join(folder, name);
      const text = /\.(ts|sql)$/.test(name) ? await readFile(join(repository, path), 'utf8') : '';
      if (name.endsWith('.ts')) sources.push(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
      if (name.endsWith('.sql')) sql.push(text);
    }
  }
  const exported = new Map(sources.flatMap((source) => [...constantsOf(source, true)]));
  return [...sources.flatMap((source) => inSource(source, exported)), ...(await inSql(sql.join('\n')))];
}

function inSource(source: ts.SourceFile, exported: Constants): Raised[] {
  const constants = new Map([...exported, ...constantsOf(source)]);
  const found: Raised[] = [];
  const visit = (node: ts.Node): void => {
    const args = argumentsOf(node);
    if (args !== undefined) {
      const [code, message, options] = args;
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      for (const name of textsOf(code, constants))
        // What passes on somebody else's words says nothing itself.
        for (const said of textsOf(message, constants).filter((text) => text !== anything))
          for (const hint of hintsOf(options, constants))
            found.push({
              code: name,
              place: `${source.fileName}:${line + 1}`,
              message: whole(said),
              hint: hint === null ? null : whole(hint),
            });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Code, message and options, however they are passed. */
function argumentsOf(node: ts.Node): (ts.Expression | undefined)[] | undefined {
  if (ts.isNewExpression(node)) {
    const [first, second, third] = node.arguments ?? [];
    const name = node.expression.getText();
    if (name === 'OutboxError') return [first, second, third];
    if (name === 'RequestRefused') return [apiRequest, second, third];
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.SuperKeyword) {
    const [first] = node.arguments;
    if (first !== undefined && ts.isStringLiteral(first) && first.text.startsWith('OUTBOX_'))
      return [...node.arguments];
  }
  return undefined;
}

const apiRequest = ts.factory.createStringLiteral('OUTBOX_API_REQUEST');

function hintsOf(options: ts.Expression | undefined, constants: Constants): (string | null)[] {
  if (options === undefined) return [null];
  if (!ts.isObjectLiteralExpression(options)) {
    // A hint itself, as RequestRefused takes it; or options made elsewhere, which may have one or not.
    const texts = textsOf(options, constants);
    return texts.includes(anything) ? [anything, null] : texts;
  }
  for (const property of options.properties) {
    if (ts.isPropertyAssignment(property) && property.name.getText() === 'hint')
      return textsOf(property.initializer, constants);
    if (ts.isShorthandPropertyAssignment(property) && property.name.text === 'hint')
      return textsOf(property.name, constants);
  }
  return [null];
}

type Constants = ReadonlyMap<string, ts.Expression>;

/** By name; with `exportedOnly` those texts that other files can import. */
function constantsOf(source: ts.SourceFile, exportedOnly = false): Constants {
  const constants = new Map<string, ts.Expression>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined) {
      const isExported = node.parent.parent.getText().startsWith('export ');
      if (!exportedOnly || (isExported && ts.isStringLiteral(node.initializer)))
        constants.set(node.name.text, node.initializer);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return constants;
}

/** What an expression can come to, as patterns. */
function textsOf(expression: ts.Expression | undefined, constants: Constants): string[] {
  if (expression === undefined) return [anything];
  if (ts.isStringLiteralLike(expression)) return [escaped(expression.text)];
  if (ts.isParenthesizedExpression(expression)) return textsOf(expression.expression, constants);
  if (ts.isConditionalExpression(expression))
    return [...textsOf(expression.whenTrue, constants), ...textsOf(expression.whenFalse, constants)];
  if (ts.isTemplateExpression(expression)) {
    return expression.templateSpans.reduce(
      (texts, { expression: inner, literal }) =>
        texts.flatMap((text) =>
          textsOf(inner, constants).map((middle) => text + middle + escaped(literal.text)),
        ),
      [escaped(expression.head.text)],
    );
  }
  if (ts.isBinaryExpression(expression) && expression.operatorToken.kind === ts.SyntaxKind.PlusToken)
    return textsOf(expression.left, constants).flatMap((left) =>
      textsOf(expression.right, constants).map((right) => left + right),
    );
  if (ts.isIdentifier(expression)) {
    const constant = constants.get(expression.text);
    return constant === undefined || ts.isIdentifier(constant) ? [anything] : textsOf(constant, constants);
  }
  return [anything];
}

/** `raise exception 'text %', … using errcode = 'OB001', hint = '…'`, under the code that src/storage/errors.ts gives it. */
async function inSql(text: string): Promise<Raised[]> {
  const translation = await readFile(join(repository, 'src', 'storage', 'errors.ts'), 'utf8');
  const codes = new Map(
    [...translation.matchAll(/'(OB\d+)'\) return new OutboxError\('(\w+)'/g)].map(
      ([, state = '', code = '']) => [state, code],
    ),
  );
  const raises = /raise exception '((?:[^']|'')*)'[^;]*?errcode = '(OB\d+)'(?:,\s*hint = '((?:[^']|'')*)')?/g;
  return [...text.matchAll(raises)].flatMap(([, message = '', state = '', hint]) => {
    const code = codes.get(state);
    if (code === undefined) return [];
    return [
      {
        code,
        place: `SQL, ${state}`,
        message: whole(escaped(unquoted(message)).replaceAll('%', anything)),
        hint: hint === undefined ? null : whole(escaped(unquoted(hint))),
      },
    ];
  });
}

function unquoted(text: string): string {
  return text.replaceAll("''", "'");
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function whole(pattern: string): RegExp {
  return new RegExp(`^${pattern}$`);
}
