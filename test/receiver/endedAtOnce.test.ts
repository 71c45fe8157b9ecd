/** A connection that the server ends in the breath in which it was made: nobody who asked for it has it yet. */
import { connect, createServer, type Socket } from 'node:net';
import pg from 'pg';
import { expect, test } from 'vitest';
import { hearIdleErrors, inTransaction } from '../../src/receiver/transaction.ts';
import { atEnd, createTestDatabase } from '../support/index.ts';

/** ReadyForQuery, idle. */
const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** Process id in the server's BackendKeyData, which precedes ReadyForQuery. */
function pidIn(bytes: Buffer): number {
  return bytes.readInt32BE(bytes.lastIndexOf(Buffer.from([0x4b, 0, 0, 0, 12])) + 5);
}

test('it is an error of that call, and ends no process', async () => {
  const database = await createTestDatabase({ migrated: false });
  const real = new URL(database.url);
  let ended = 0;
  // What lets the client in is held back until the server has ended the session: both arrive in one segment.
  const wire = createServer((client: Socket) => {
    const server = connect(Number(real.port), real.hostname);
    let held = Buffer.alloc(0);
    client.on('error', () => server.destroy()).on('data', (bytes) => server.write(bytes));
    server.on('error', () => client.destroy()).on('close', () => client.end(held));
    server.on('data', (bytes) => {
      held = Buffer.concat([held, bytes]);
      if (held.includes(ready) && ended === 0) {
        ended = 1;
        void database.pool.query('select pg_terminate_backend($1)', [pidIn(held)]);
      } else if (!held.includes(ready)) {
        client.write(held);
        held = Buffer.alloc(0);
      }
    });
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  atEnd(() => new Promise<void>((resolve) => void wire.close(() => resolve())));
  const there = new URL(database.url);
  there.port = String((wire.address() as { port: number }).port);
  const pool = new pg.Pool({ connectionString: there.href });
  atEnd(() => pool.end());
  hearIdleErrors(pool, () => undefined);
  await expect(inTransaction(pool, 'read committed', () => Promise.resolve())).rejects.toThrow();
  expect(ended).toBe(1);
});
