/**
 * The keeper: a small Node process that starts one server, and ends it when its own standard input ends.
 *
 * Why a process of its own: a parent killed with SIGKILL runs no handler, but the kernel closes its pipes. The keeper
 * reads end-of-file there and stops the server the way the server likes best. It starts the server itself, so there is
 * no moment at which a server runs unguarded, and it runs in a session of its own, so Ctrl-C in a terminal reaches the
 * parent only and servers are not torn down under a parent that still wants to finish its work.
 *
 * Why source text: it must run under plain `node` both from dist/ and from the TypeScript sources in tests, where
 * Node 20 cannot load a .ts file. Keep it plain CommonJS without dependencies.
 *
 * Protocol: argv[1] is the JSON order that children.ts makes. File descriptor 3 carries JSON lines to the parent:
 * `{pid}`, `{error}`, `{exit: {code, signal}}`. Any byte, or the end, on standard input means: stop.
 */
export const keeperSource = String.raw`
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
process.title = 'temporal-outbox-keeper';
const order = JSON.parse(process.argv[1]);
const ignore = () => {};
// The parent may be dead: nobody reads any more, and that must not end the keeper.
process.stdout.on('error', ignore);
process.stderr.on('error', ignore);
const tell = (message) => { try { fs.writeSync(3, JSON.stringify(message) + '\n'); } catch {} };
const removeTemporary = () => {
  for (const path of order.remove) {
    try { fs.rmSync(path, { recursive: true, force: true, maxRetries: 3 }); } catch {}
  }
};
const identity = order.uid === null ? {} : { uid: order.uid, gid: order.gid };
let stopping = false;
let ended = false;
const end = (message) => {
  if (ended) return;
  ended = true;
  if (stopping || !order.removeOnlyWhenStopped) removeTemporary();
  tell(message);
  process.exit(0);
};
const server = spawn(order.command, order.args, {
  ...identity, cwd: order.cwd, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true,
});
server.stdout.on('data', (chunk) => process.stdout.write(chunk));
server.stderr.on('data', (chunk) => process.stderr.write(chunk));
server.on('error', (error) => { if (server.pid === undefined) end({ error: String(error.message) }); });
// 'close' waits for every descendant that holds the pipes, which may be long after the server itself is gone.
server.on('exit', (code, signal) => setTimeout(() => end({ exit: { code, signal } }), 20));
if (server.pid !== undefined) tell({ pid: server.pid });
const stop = () => {
  if (stopping) return;
  stopping = true;
  for (const step of order.stopSteps) {
    setTimeout(() => { try { server.kill(step.signal); } catch {} }, step.afterMs);
  }
};
process.stdin.on('data', stop);
process.stdin.on('end', stop);
process.stdin.on('error', stop);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, stop);
`;
