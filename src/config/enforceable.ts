/** Which JSON Schemas the database can check in full: those of the keywords that migration 0047 knows. */
import { isMapping } from '../settings/mapping.ts';

/** Where schemas stand below a keyword. Every other keyword is in one of the lists below, or not known. */
const holdsSchema = [
  'items',
  'contains',
  'additionalProperties',
  'propertyNames',
  'not',
  'if',
  'then',
  'else',
];
const holdsList = ['prefixItems', 'allOf', 'anyOf', 'oneOf'];
const holdsNamed = ['properties', 'patternProperties', '$defs', 'definitions'];
const checked = [
  ...['type', 'const', 'enum', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'exclusiveMinimum'],
  ...['exclusiveMaximum', 'multipleOf', 'minItems', 'maxItems', 'uniqueItems', 'minContains', 'maxContains'],
  ...['required', 'minProperties', 'maxProperties', 'dependentRequired', '$ref'],
];
/** Remarks, which check nothing. */
const remarks = [
  ...['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'format'],
  ...['$comment', '$schema', 'contentEncoding', 'contentMediaType', 'contentSchema'],
];
const known = new Set([...holdsSchema, ...holdsList, ...holdsNamed, ...checked, ...remarks]);

/** What PostgreSQL and JavaScript read alike, of what people write in patterns. */
const alike =
  /^(?:[^\\.[\](){}^$|*+?]|\\[dDwWsS\\./()[\]{}^$|*+?nrt-]|\.|[\^$|]|\((?:\?[:=!])?|\)|(?:[*+?]|\{\d+(?:,\d*)?\})\??|\[\^?(?:[^\\[\]]|\\[dwsnrt\\./()[\]{}^$|*+?-])+\])*$/u;

/** What stands in the way, with its place; null where nothing does. `schema` is known to be one. */
export function notEnforceable(schema: unknown, at = '#'): string | null {
  if (!isMapping(schema)) return null;
  for (const [keyword, value] of Object.entries(schema)) {
    const place = `${at}/${keyword}`;
    if (!known.has(keyword)) return `it does not know ${keyword} (${place})`;
    const own = ownFault(keyword, value);
    if (own !== null) return `${own} (${place})`;
    const inner = below(keyword, value, place);
    if (inner !== null) return inner;
  }
  return null;
}

function ownFault(keyword: string, value: unknown): string | null {
  if (keyword === '$ref' && !/^#(\/[^%]*)?$/.test(String(value)))
    return 'a $ref leads from the top of the schema, such as #/$defs/line, without % in it';
  if (keyword === 'pattern') return patternFault(String(value));
  if (keyword === 'patternProperties' && isMapping(value))
    return (
      Object.keys(value)
        .map(patternFault)
        .find((each) => each !== null) ?? null
    );
  return null;
}

/** PostgreSQL's limit. */
const repetitionsMax = 255;

function patternFault(pattern: string): string | null {
  const counts = [...pattern.matchAll(/\d+(?=(,\d*)?\})/g)].map(([count]) => Number(count));
  return alike.test(pattern) && counts.every((each) => each <= repetitionsMax)
    ? null
    : `the pattern ${JSON.stringify(pattern)} has something that PostgreSQL reads otherwise`;
}

function below(keyword: string, value: unknown, place: string): string | null {
  const parts: [string, unknown][] = holdsSchema.includes(keyword)
    ? [[place, value]]
    : holdsList.includes(keyword) && Array.isArray(value)
      ? value.map((each, index): [string, unknown] => [`${place}/${index}`, each])
      : holdsNamed.includes(keyword) && isMapping(value)
        ? Object.entries(value).map(([name, each]): [string, unknown] => [`${place}/${name}`, each])
        : [];
  for (const [at, part] of parts) {
    const found = notEnforceable(part, at);
    if (found !== null) return found;
  }
  return null;
}
