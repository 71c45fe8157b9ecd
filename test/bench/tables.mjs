/** The report as Markdown, for the documents. */
export function tablesOf({ parts }) {
  return Object.entries(parts)
    .map(([part, rows]) => `**${part}**\n\n${tableOf(rows)}\n`)
    .join('\n');
}

function tableOf(rows) {
  const head = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => head.map((name) => cell(row[name])));
  const aligned = head.map((name) => (rows.every((row) => isNumber(row[name])) ? '---:' : '---'));
  return [head, aligned, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function isNumber(value) {
  return value === undefined || (value !== '' && Number.isFinite(Number(value)));
}

function cell(value) {
  if (value === undefined) return '';
  return typeof value === 'number' && Number.isInteger(value) ? value.toLocaleString('en-US') : String(value);
}
