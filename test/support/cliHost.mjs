/**
 * Runs commands of the built CLI one after the other in one process: Node, the SDK and commander are loaded once, where
 * each command loads for up to a second of a processor. A job comes as a message `{ args, env, cwd }`; what it printed
 * and its exit code go back. hostedCli.ts decides what may run here: whatever is about the process itself may not.
 */
import { Readable } from 'node:stream';

const main = new URL('../../dist/src/cli/main.js', import.meta.url);
const home = process.cwd();
const exit = process.exit.bind(process);
let jobs = 0;
// Each command listens anew; no leak of its own.
for (const one of [process, process.stdout, process.stderr]) one.setMaxListeners(0);

process.on('message', (job) => void perform(job));
process.on('disconnect', () => exit(0));

async function perform({ args, env, cwd }) {
  const printed = { stdout: [], stderr: [] };
  for (const name of ['stdout', 'stderr']) process[name].write = collector(printed[name]);
  process.argv = [process.argv[0], main.pathname, ...args];
  // As they are in the process itself: files of variables are read into it.
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
  process.exitCode = undefined;
  process.chdir(cwd ?? home);
  Object.defineProperty(process, 'stdin', { value: Readable.from([]), configurable: true });
  let [loaded, over] = [false, false];
  // An end in the middle leaves the rest of the command running here: this process is then not to be used again.
  const ends = (code) => {
    if (over) return;
    over = true;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
    process.removeAllListeners('uncaughtException');
    for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
    const [stdout, stderr] = [Buffer.concat(printed.stdout), Buffer.concat(printed.stderr)];
    process.send({ code, stdout: `${stdout}`, stderr: `${stderr}`, again: loaded });
  };
  process.exit = (code) => ends(code ?? process.exitCode ?? 0);
  process.on('uncaughtException', (error) => {
    printed.stderr.push(Buffer.from(`${error?.stack}\n`));
    ends(1);
  });
  try {
    // Its imports stay loaded; it itself runs anew.
    await import(`${main}?job=${++jobs}`);
    loaded = true;
  } catch (error) {
    printed.stderr.push(Buffer.from(`${error?.stack}\n`));
    ends(1);
  }
}

function collector(chunks) {
  return (chunk, encoding, done) => {
    chunks.push(Buffer.from(chunk));
    const after = typeof encoding === 'function' ? encoding : done;
    if (after !== undefined) setImmediate(after);
    return true;
  };
}
