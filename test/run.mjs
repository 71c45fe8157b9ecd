/**
 * npm test. Arguments are vitest's: file filters, `-t NAME`. Its last line is `N passed, N failed` and the one before it
 * says what was skipped and why; everything that keeps a test from running (a file that does not load, a hook that
 * throws, an error nobody caught, no test at all) counts as a failure. OUTBOX_TEST_ALL=1: so does a skipped test.
 *
 * A whole run crowds a machine: four files at once, each with processes of its own. What looks at how busy a process is runs after the
 * others, one file at a time, and so does a file that failed, once, where there are few: the line before the last one names it.
 */
import { fileURLToPath } from 'node:url';
import { parseCLI, startVitest } from 'vitest/node';

/** With more files than this the fault is not the crowd's. */
const triedAgain = 3;

const root = fileURLToPath(new URL('..', import.meta.url));
const config = fileURLToPath(new URL('vitest.config.ts', import.meta.url));
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const everythingMustRun = process.env['OUTBOX_TEST_ALL'] === '1';
const whole = process.argv.length === 2;

const crowd = await run(filter, whole && everythingMustRun ? { project: ['alone', 'servers'] } : {});
const failedFiles = whole ? filesThatFailed(crowd) : [];
const again = failedFiles.length <= triedAgain ? failedFiles : [];
if (again.length > 0) console.log(`\nOnce more, with nothing beside: ${again.join(', ')}\n`);
const runs = [crowd];
if (whole && everythingMustRun) runs.push(await run([], { project: ['quiet'], maxWorkers: 1 }));
if (again.length > 0) runs.push(await run(again, { maxWorkers: 1 }));

const counts = sum(count(crowd, again), ...runs.slice(1).map((each) => count(each, [])));
const passedAlone = again.filter((file) => !filesThatFailed(runs.at(-1)).includes(file));
const failed = counts.failed + (everythingMustRun ? counts.skips.length : 0);
for (const problem of counts.problems) console.log(`not run: ${problem}`);
const crowded =
  passedAlone.length > 0 ? `; failed beside others and passed alone: ${passedAlone.join(', ')}` : '';
console.log(`${counts.skips.length} skipped${reasons(counts.skips)}${crowded}`);
console.log(`${counts.passed} passed, ${failed} failed`);
// Something the tests left open must not keep the run from ending.
process.stdout.write('', () => process.exit(failed === 0 ? 0 : 1));

async function run(files, more) {
  process.exitCode = undefined;
  const vitest = await startVitest('test', files, { config, ...options, ...more, run: true, watch: false });
  return { state: vitest.state, exitCode: process.exitCode };
}

function filesThatFailed({ state }) {
  return state
    .getTestModules()
    .filter((module) => !module.ok() || module.state() === 'pending' || module.state() === 'queued')
    .map(({ moduleId }) => moduleId.replace(root, ''));
}

function sum(...parts) {
  const counts = { passed: 0, failed: 0, problems: [], skips: [] };
  for (const { passed, failed, problems, skips } of parts) {
    counts.passed += passed;
    counts.failed += failed;
    counts.problems.push(...problems);
    counts.skips.push(...skips);
  }
  return counts;
}

/** `except`: files that are counted elsewhere. */
function count(run, except) {
  const modules = run.state.getTestModules().filter((m) => !except.includes(m.moduleId.replace(root, '')));
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
  if (passed + broken + problems.length + except.length === 0) problems.push('no test was executed');
  else if (broken + problems.length === 0 && except.length === 0 && Boolean(run.exitCode))
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
