/**
 * YAML text → plain values, with the place of every key and value. Written for hostile input: size, depth, aliases
 * and the number of nodes are bounded before anything recurses or compares, and no value is ever built from
 * `__proto__`. Only plain YAML 1.2 data comes out: objects without a prototype, arrays, strings, numbers, booleans, null.
 */
import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  Parser,
  type Document,
  type Node,
  type Pair,
} from 'yaml';
import type { Findings, KeyPath, Place, Places } from '../settings/findings.ts';

/** A configuration of 1,000 destinations is about 300 kB. */
export const configBytesMax = 1024 * 1024;
const depthMax = 64;
const nodesMax = 100_000;
/** About seven lexemes a line: a file of 1 MB with ordinary lines stays below, one of 1 MB of commas does not. */
const lexemesMax = 300_000;

/** The file's content, or undefined with at least one problem in `findings`. */
export function readYaml(source: string, findings: Findings): { readonly value: unknown } | undefined {
  const text = source.startsWith('\ufeff') ? source.slice(1) : source;
  if (Buffer.byteLength(text) > configBytesMax) {
    findings.problem([], `expected at most ${configBytesMax} bytes`);
    return undefined;
  }
  const lines = new LineIndex(text);
  const documents = parseBounded(text, lines, findings);
  if (documents === undefined) return undefined;
  const document = onlyDocument(documents, text, lines, findings);
  if (document === undefined) return undefined;
  const walk = new Walk(lines, findings);
  findings.usePlaces(walk);
  const value = walk.visit(document.contents, []);
  return walk.isBroken ? undefined : { value };
}

/**
 * The yaml package composes nested collections by recursion, so depth is checked while its parser, which keeps a
 * stack of its own, still reads tokens: 10,000 levels are refused at the 65th.
 */
function parseBounded(text: string, lines: LineIndex, findings: Findings): Document.Parsed[] | undefined {
  const parser = new Parser();
  const tokens = [];
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    lexemes += 1;
    const tooDeep = parser.stack.length > depthMax + 2;
    if (!tooDeep && lexemes <= lexemesMax) continue;
    const expected = tooDeep ? `${depthMax} levels of nesting` : `${lexemesMax} words and marks`;
    findings.problemAt(lines.place(parser.offset), [], `expected at most ${expected}`);
    return undefined;
  }
  for (const token of parser.end()) tokens.push(token);
  // uniqueKeys compares every key with every other; duplicates are found below, in linear time.
  const composer = new Composer({ schema: 'core', uniqueKeys: false, logLevel: 'silent' });
  return [...composer.compose(tokens, true, text.length)];
}

function onlyDocument(
  documents: readonly Document.Parsed[],
  text: string,
  lines: LineIndex,
  findings: Findings,
): Document.Parsed | undefined {
  const [document, second] = documents;
  if (second !== undefined) {
    findings.problemAt(
      lines.place(second.range[0]),
      [],
      'expected one YAML document; here a second one begins',
    );
  }
  for (const { code, message, pos } of [...(document?.errors ?? []), ...(document?.warnings ?? [])]) {
    const place = lines.place(pos[0]);
    findings.problemAt(place, [], explainSyntax(code, message, text.slice(pos[0], pos[0] + 1)));
  }
  return findings.hasProblems ? undefined : document;
}

function explainSyntax(code: string, message: string, character: string): string {
  if (code === 'TAB_AS_INDENT') return 'expected spaces; YAML does not allow tabs for indentation';
  if (code === 'BAD_ALIAS' || (code === 'BAD_SCALAR_START' && character === '*')) return quoteTheStar;
  if (code === 'TAG_RESOLVE_FAILED') return 'expected plain values; YAML tags (!something) are not used here';
  // Some messages end with the text they are about, which may be a secret.
  return `not valid YAML: ${message.replace(/: ["'`].*$/s, '').replace(/\s+/g, ' ')}`;
}

const quoteTheStar =
  "expected a value, but * begins an alias in YAML and no such anchor stands before it; text needs quotes: '*'";

/** Offsets → lines and columns. */
class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  place(offset: number): Place {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] as number) + 1 };
  }
}

interface Anchored {
  readonly value: unknown;
  readonly nodes: number;
  readonly depth: number;
}

/** Turns nodes into values and remembers where each stood. */
class Walk implements Places {
  readonly #lines: LineIndex;
  readonly #findings: Findings;
  readonly #keyOffsets = new Map<string, number>();
  readonly #valueOffsets = new Map<string, number>();
  readonly #anchors = new Map<string, Anchored>();
  /** Something could not be read at all; to check the rest would only report what follows from that. */
  isBroken = false;
  #nodes = 0;
  /** Levels below the node last visited. */
  #height = 0;

  constructor(lines: LineIndex, findings: Findings) {
    this.#lines = lines;
    this.#findings = findings;
  }

  value(path: KeyPath): Place {
    return this.#nearest(this.#valueOffsets, path);
  }

  key(path: KeyPath): Place {
    const offset = this.#keyOffsets.get(pathId(path));
    return offset === undefined ? this.value(path) : this.#lines.place(offset);
  }

  #nearest(offsets: ReadonlyMap<string, number>, path: KeyPath): Place {
    for (let length = path.length; length >= 0; length--) {
      const offset = offsets.get(pathId(path.slice(0, length)));
      if (offset !== undefined) return this.#lines.place(offset);
    }
    return this.#lines.place(0);
  }

  visit(node: Node | null, path: KeyPath): unknown {
    if (node?.range) this.#valueOffsets.set(pathId(path), node.range[0]);
    this.#height = 0;
    this.#nodes += 1;
    if (this.#nodes > nodesMax) return this.#refuseSize(path);
    if (node === null || isScalar(node)) return this.#anchor(node, node?.value ?? null, 1);
    if (isAlias(node)) return this.#alias(node.source, path);
    const before = this.#nodes;
    const value = isMap(node)
      ? this.#map(node.items, path)
      : isSeq(node)
        ? this.#list(node.items, path)
        : null;
    return this.#anchor(node, value, this.#nodes - before + 1);
  }

  #map(items: readonly Pair[], path: KeyPath): unknown {
    const object = Object.create(null) as Record<string, unknown>;
    let height = 0;
    for (const { key: keyNode, value: valueNode } of items) {
      const key = this.#mapKey(keyNode as Node | null, object, path);
      if (key === undefined) continue;
      object[key] = this.visit(valueNode as Node | null, [...path, key]);
      height = Math.max(height, this.#height);
    }
    this.#height = height + 1;
    return object;
  }

  #mapKey(node: Node | null, object: object, path: KeyPath): string | undefined {
    const offset = node?.range?.[0] ?? 0;
    const place = this.#lines.place(offset);
    if (!isScalar<string | number | boolean>(node) || node.value === null) {
      return this.#break(place, path, 'expected a word as key');
    }
    const key = String(node.value);
    const keyPath = [...path, key];
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
      return this.#break(place, keyPath, `expected another name; ${key} is reserved by JavaScript`);
    }
    if (Object.hasOwn(object, key)) {
      this.#findings.problemAt(
        place,
        keyPath,
        `written twice; the first is in line ${this.key(keyPath).line}`,
      );
      return undefined;
    }
    this.#keyOffsets.set(pathId(keyPath), offset);
    // A value that is left out stands, for messages, where its key stands.
    this.#valueOffsets.set(pathId(keyPath), offset);
    return key;
  }

  #list(items: readonly unknown[], path: KeyPath): unknown {
    let height = 0;
    const list = items.map((item, index) => {
      const value = this.visit(item as Node | null, [...path, index]);
      height = Math.max(height, this.#height);
      return value;
    });
    this.#height = height + 1;
    return list;
  }

  #anchor(node: Node | null, value: unknown, nodes: number): unknown {
    const name = node !== null && 'anchor' in node ? node.anchor : undefined;
    if (name !== undefined) this.#anchors.set(name, { value, nodes, depth: this.#height });
    return value;
  }

  /** The value is shared, not copied, but its nodes are counted again: whoever reads the result pays for them. */
  #alias(name: string, path: KeyPath): unknown {
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) return this.#break(this.value(path), path, quoteTheStar);
    this.#nodes += anchored.nodes;
    this.#height = anchored.depth;
    if (path.length + anchored.depth > depthMax || this.#nodes > nodesMax) return this.#refuseSize(path);
    return anchored.value;
  }

  #refuseSize(path: KeyPath): undefined {
    const message = `expected at most ${nodesMax} values and ${depthMax} levels, aliases counted each time`;
    return this.#break(this.value(path), [], message);
  }

  #break(place: Place, path: KeyPath, message: string): undefined {
    this.isBroken = true;
    this.#findings.problemAt(place, path, message);
  }
}

function pathId(path: KeyPath): string {
  return JSON.stringify(path);
}
