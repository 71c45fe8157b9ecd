/**
 * npm test. Arguments are vitest's: file filters, `-t NAME`. Its last line is `N passed, N failed` and the one before it
 * says what was skipped and why; everything that keeps a test from running (a file that does not load, a hook that
 * throws, an error nobody caught, no test at all) counts as a failure. OUTBOX_TEST_ALL=1: so does a skipped test.
 */
import { fileURLToPath } from 'node:url';
import { parseCLI, startVitest } from 'vitest/node';

const config = fileURLToPath(new URL('vitest.config.ts', import.meta.url));
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const vitest = await startVitest('test', filter, { config, ...options, run: true, watch: false });

const counts = count(vitest);
const everythingMustRun = process.env['OUTBOX_TEST_ALL'] === '1';
const failed = counts.failed + (everythingMustRun ? counts.skips.length : 0);
for (const problem of counts.problems) console.log(`not run: ${problem}`);
console.log(`${counts.skips.length} skipped${reasons(counts.skips)}`);
console.log(`${counts.passed} passed, ${failed} failed`);
// Something the tests left open must not keep the run from ending.
process.stdout.write('', () => process.exit(failed === 0 ? 0 : 1));

function count(run) {
  const modules = run.state.getTestModules();
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const inState = (state) => tests.filter((test) => test.result().state === state);
  // With -t, every test that it leaves out is a skipped one without a reason.
  const named = options.testNamePattern !== undefined;
  const skips = inState('skipped').map((test) => test.result().note ?? (named ? null : 'no reason given'));
  const problems = [
    ...modules.flatMap((module) => problemsOf(module, module.moduleId)),
    ...modules.flatMap((module) =>
      [...module.children.allSuites()].flatMap((s) => problemsOf(s, s.fullName)),
    ),
    ...inState('pending').map((test) => `${test.fullName}: never ended`),
    ...run.state.getUnhandledErrors().map((error) => `unhandled error: ${firstLine(error)}`),
  ];
  const [passed, broken] = [inState('passed').length, inState('failed').length];
  if (passed + broken === 0) problems.push('no test was executed');
  else if (broken + problems.length === 0 && Boolean(process.exitCode))
    problems.push('vitest reports an error');
  return { passed, failed: broken + problems.length, problems, skips: skips.filter((note) => note !== null) };
}

/** What a module or suite itself threw: at import, at collection, in its hooks. */
function problemsOf(collection, name) {
  const errors = collection.errors().map((error) => `${name}: ${firstLine(error)}`);
  const unfinished = ['queued', 'pending'].includes(collection.state()) && errors.length === 0;
  return unfinished ? [`${name}: never ended`] : errors;
}

function firstLine(error) {
  return String(error?.message ?? error).split('\n')[0];
}

function reasons(notes) {
  const times = new Map();
  for (const note of notes) times.set(note, (times.get(note) ?? 0) + 1);
  const parts = [...times].map(([note, number]) => `${note} (${number})`);
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}
