import { InvalidArgumentError, Option, type Command } from 'commander';
import { roles } from '../core/dashboard.ts';
import { parseLongMs, textOf } from './arguments.ts';
import type { Output } from './output.ts';
import type { MakeTokenOptions } from './tokens.ts';

/** `tokens make|list|revoke` */
export function addTokenCommands(tokens: Command, out: Output): void {
  tokens
    .command('make')
    .description('make a token and show it this once')
    .argument('<name>', 'whose it is; stands in the audit', textOf(100))
    .addOption(new Option('--role <role>', 'what it may').choices(roles).default('viewer'))
    .option('--payloads', 'it may look at payloads, too')
    .option('--expires <duration>', 'until when it is taken: 90d (default: until it is revoked)', parseLongMs)
    .action(async (name: string, options: MakeTokenOptions) =>
      (await import('./tokens.ts')).make(out, name, options),
    );
  tokens
    .command('list')
    .description('which there are, never the tokens themselves')
    .action(async () => (await import('./tokens.ts')).list(out));
  tokens
    .command('revoke')
    .description('whoever has it is signed out within seconds')
    .argument('<id>', 'its number, as tokens list shows it', parseTokenId)
    .action(async (id: number) => (await import('./tokens.ts')).revoke(out, id));
}

function parseTokenId(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new InvalidArgumentError('Expected the number of a token, as tokens list shows it.');
  return Number(text);
}
