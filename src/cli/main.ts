#!/usr/bin/env node
import { reportError } from './failure.ts';
import { createProgram } from './program.ts';
import { quietOnClosedPipe } from './closedPipe.ts';

quietOnClosedPipe(process.stdout);
quietOnClosedPipe(process.stderr);

const asJson = process.argv.includes('--json');
let exitCode = 0;
const program = createProgram(asJson, (code) => (exitCode = code));
let usage: string | null = null;
program.hook('preAction', (_program, command) => {
  usage = `Usage: ${command.createHelp().commandUsage(command)}`;
});
try {
  await program.parseAsync(process.argv);
} catch (error) {
  exitCode = reportError(error, { asJson, env: process.env, usage });
}
// What is still in the pipes goes out first; a connection that lingers must not keep a finished command alive.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
