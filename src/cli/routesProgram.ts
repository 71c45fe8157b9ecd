import type { Command } from 'commander';
import { textOf } from './arguments.ts';
import type { RouteMissedCommand } from './commands/routes.ts';
import type { SetExitCode } from './exitCode.ts';
import type { Output } from './output.ts';
import { addReplayCommands } from './replayProgram.ts';

/** `routes …` */
export function addRouteCommands(routes: Command, out: Output, setExitCode: SetExitCode): void {
  routes
    .command('route-missed')
    .description(
      'route events that were written past the trigger (replication role, disabled trigger, restore)',
    )
    .option('--dry-run', 'only say how many there are, by type')
    .option('--reason <text>', 'why, for the audit', textOf(1000))
    .option('--actor <name>', 'who, for the audit (default: the user of this machine)', textOf(200))
    .action(async (options: RouteMissedCommand) =>
      (await import('./commands/routes.ts')).routeMissed(out, options),
    );
  addReplayCommands(routes, out, setExitCode);
}
