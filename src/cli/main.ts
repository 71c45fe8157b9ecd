#!/usr/bin/env node
import { takeEnvFiles } from './envFile.ts';
import { reportError } from './failure.ts';
import { createProgram } from './program.ts';
import { quietOnClosedPipe } from './closedPipe.ts';

quietOnClosedPipe(process.stdout);
quietOnClosedPipe(process.stderr);

const asJson = process.argv.includes('--json');
let exitCode = 0;
let usage: string | null = null;
try {
  const args = takeEnvFiles(process.argv.slice(2));
  const program = createProgram(asJson, (code) => (exitCode = code));
  program.hook('preAction', (_program, command) => {
    usage = `Usage: ${command.createHelp().commandUsage(command)}`;
  });
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  exitCode = reportError(error, { asJson, env: process.env, usage });
}
// What is still in the pipes goes out first; a connection that lingers must not keep a finished command alive.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
