/** With psql: nothing of ours, plain SQL. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const answerMs = 10_000;

export function openWriter({ PSQL, DATABASE_URL }) {
  let session;
  return {
    eventsMax: 5,
    close: async () => session?.end(),
    write: async ({ tx, events, rollBack }) => {
      session ??= openSession(PSQL, DATABASE_URL);
      const rows = events.map(
        ({ id, type, key, number }) => `('${id}', '${type}', '${key}', '{"number": ${number}}')`,
      );
      const sql = [
        'begin;',
        `insert into chaos.facts values ('${tx}');`,
        `insert into outbox.events (id, type, key, payload) values ${rows.join(', ')};`,
        rollBack ? 'rollback;' : 'commit;',
      ].join(' ');
      const answered = await session.run(sql, tx);
      if (!answered) {
        session.end();
        session = undefined;
      }
      return rollBack ? 'rolled-back' : answered ? 'committed' : 'unknown';
    },
  };
}

function openSession(psql, url) {
  const child = spawn(psql, ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', url], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, PGCONNECT_TIMEOUT: '10' },
  });
  child.stdin.on('error', () => undefined);
  const waiting = new Map();
  const answer = (tx, answered) => {
    waiting.get(tx)?.(answered);
    waiting.delete(tx);
  };
  createInterface({ input: child.stdout }).on('line', (line) => answer(line.trim(), true));
  child.on('error', () => undefined);
  child.once('close', () => {
    for (const tx of waiting.keys()) answer(tx, false);
  });
  return {
    /** Answers whether psql came past the statements. */
    run: (sql, tx) =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve(false);
        const timer = setTimeout(() => answer(tx, false), answerMs);
        waiting.set(tx, (answered) => {
          clearTimeout(timer);
          resolve(answered);
        });
        child.stdin.write(`${sql}\n\\echo ${tx}\n`);
      }),
    end: () => void child.kill('SIGKILL'),
  };
}
