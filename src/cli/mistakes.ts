import type { Command } from 'commander';
import { printable } from '../core/printable.ts';
import { coloursFor } from './output.ts';

/**
 * What Commander finds wrong, as our own mistakes are shown: code, message, what was meant perhaps, and one line of usage.
 * What was typed may come from anywhere: its line breaks are escaped.
 */
export function mistakeText(command: Command, text: string): string {
  const [, message = '', suggestion = ''] =
    /^(?:error: )?([^]*?)(?:\n\((Did you mean [^\n]*\?)\))?\n*$/.exec(text) ?? [];
  const colours = coloursFor(process.stderr);
  const hint = suggestion === '' ? otherwise(command, message) : suggestion;
  const usage = `Usage: ${command.createHelp().commandUsage(command)}`;
  return (
    `${colours.red('error')} ${colours.bold('OUTBOX_USAGE')} ${printable(message)}\n` +
    (hint === '' ? '' : `  ${colours.dim(hint)}\n`) +
    `${usage}\n`
  );
}

function otherwise(command: Command, message: string): string {
  if (!message.startsWith('unknown command')) return '';
  return `There are: ${command.commands.map((each) => each.name()).join(', ')}`;
}
