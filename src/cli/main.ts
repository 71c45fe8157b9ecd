#!/usr/bin/env node
import { reportError } from './failure.ts';
import { createProgram } from './program.ts';
import { quietOnClosedPipe } from './closedPipe.ts';

quietOnClosedPipe(process.stdout);
quietOnClosedPipe(process.stderr);

const asJson = process.argv.includes('--json');
let exitCode: number;
try {
  exitCode = 0;
  await createProgram(asJson, (code) => (exitCode = code)).parseAsync(process.argv);
} catch (error) {
  exitCode = reportError(error, asJson, process.env);
}
// What is still in the pipes goes out first; a connection that lingers must not keep a finished command alive.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
