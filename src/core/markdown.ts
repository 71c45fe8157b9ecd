/** Text of strangers on pages that are Markdown: the Temporal UI makes them of summaries and details. */
import { printable } from './printable.ts';

/**
 * Addresses become links without any sign of Markdown, and a backslash does not keep them from it: they are found after escapes were
 * read. Inside code nothing is.
 */
const addresses = /(?:[a-z][a-z0-9+.-]*:\/\/|www\.)\S*|\S*@\S*/gi;

/** One line of at most `maximum` characters, before escapes, that stands for itself in Markdown: in a sentence, a heading, a table's cell. */
export function markdownText(text: string, maximum = 300): string {
  const line = printable(text.replace(/[\r\n\t]+/g, ' ').trim(), maximum);
  let written = '';
  let at = 0;
  for (const { 0: address, index } of line.matchAll(addresses)) {
    written += withoutSigns(line.slice(at, index)) + code(address);
    at = index + address.length;
  }
  return withoutStart(written + withoutSigns(line.slice(at)));
}

/** A link whose label stands for itself and whose address ends where it ends. Addresses of ours or of the configuration, never a stranger's. */
export function markdownLink(label: string, address: string): string {
  const safe = address.replace(
    /[()<>[\]\\`|\s]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `[${markdownText(label)}](${safe})`;
}

/** Underscores inside words start nothing, and names are full of them. */
function withoutSigns(text: string): string {
  return text.replace(/[\\`*[\]<>|!#~&$]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\$&');
}

/** At the beginning of a line: lists and underlines of headings. */
function withoutStart(text: string): string {
  return text.replace(/^[-+=:]/, '\\$&').replace(/^(\d+)([.)])/, '$1\\$2');
}

function code(text: string): string {
  return `\`${text.replace(/[`|]/g, (sign) => `\\u{${sign.charCodeAt(0).toString(16)}}`)}\``;
}
