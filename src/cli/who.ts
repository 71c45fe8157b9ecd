import type { Command, Option } from 'commander';
import { systemUser } from '../core/systemUser.ts';
import { textOf } from './arguments.ts';

/** Options that all commands have which somebody answers for. */
export interface WhoOptions {
  readonly reason?: string;
  readonly actor?: string;
}

/** Of those that wait for a workflow's answer. */
export interface AnsweredOptions extends WhoOptions {
  /** Milliseconds. */
  readonly timeout: number;
}

export function addWho(command: Command, timeout?: Option): Command {
  command
    .option('--reason <text>', 'why, for the audit', textOf(1000))
    .option('--actor <name>', 'who, for the audit (default: the user of this machine)', textOf(200));
  return timeout === undefined ? command : command.addOption(timeout);
}

/** As the audit gets it. */
export function whoOf({ reason, actor }: WhoOptions): { readonly actor: string; readonly reason?: string } {
  return { actor: actor ?? systemUser(), ...(reason === undefined ? {} : { reason }) };
}
