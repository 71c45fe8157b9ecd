/** What a preview shows: which letters, and of an edit what the patch makes of them. */
import type { RedrivePreview, RedriveSample } from '../../redrive/index.ts';
import type { Colours } from '../output.ts';
import { cut, printable, table } from '../table.ts';
import { lettersText } from './text.ts';

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ letterId }: RedriveSample) => String(letterId) },
  { title: 'DESTINATION', value: ({ destination }: RedriveSample) => destination },
  { title: 'TYPE', value: ({ eventType }: RedriveSample) => cut(printable(eventType), 40) },
  { title: 'LAST ANSWER', value: ({ lastError }: RedriveSample) => cut(printable(lastError ?? ''), 72) },
];

export function previewText({ redrive, sample }: RedrivePreview, colours: Colours): string {
  const { id, action, total, leftOut, to } = redrive;
  const what = `${action}${to === null ? '' : ` to ${to}`}`;
  const lines = [`${colours.bold(`redrive ${id}: ${what} ${lettersText(total)}`)}; nothing was sent\n`];
  for (const [why, count] of Object.entries(leftOut))
    lines.push(`  left out: ${lettersText(count)}, ${printable(why)}\n`);
  if (sample.length > 0) lines.push('\n', table(columns, sample, colours));
  if (total > sample.length) lines.push(`… and ${total - sample.length} more\n`);
  if (action === 'edit') lines.push(...sample.map((each) => diffText(each, colours)));
  if (total > 0) lines.push(`\n  temporal-outbox redrive start ${id} --yes\n`);
  return lines.join('');
}

function diffText({ letterId, before, after, problem }: RedriveSample, colours: Colours): string {
  const head = `\n${colours.bold(`letter ${letterId}`)}\n`;
  if (problem !== null) return `${head}  ${colours.yellow('skipped')}: ${printable(problem)}\n`;
  return `${head}  ${colours.red(`- ${printable(before ?? '')}`)}\n  ${colours.green(`+ ${printable(after ?? '')}`)}\n`;
}
