import { Argument, type Command } from 'commander';
import { parseDestination, textOf } from './arguments.ts';
import type { InitOptions } from './commands/init.ts';
import { completionScript, shells, type Shell } from './completion.ts';
import type { Output } from './output.ts';

/** `init`, `completion` */
export function addSettingUp(program: Command, out: Output): void {
  program
    .command('init')
    .description('begin here: write outbox.yaml and .env with a new secret, and show what to do next')
    .option(
      '--destination <name>',
      'the service that is to hear of events (default: billing)',
      parseDestination,
    )
    .option('--url <url>', 'where it takes them (default: http://localhost:8090/hooks)', textOf(2000))
    .option('--type <pattern>', 'the events it is to hear of (default: order.*)', textOf(255))
    .action(async (options: InitOptions) => (await import('./commands/init.ts')).init(out, options));
  program
    .command('completion')
    .description('print a script that completes commands and options in your shell')
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .action((shell: Shell) => {
      const script = completionScript(program, shell);
      out.result({ shell, script }, () => script);
    });
}
