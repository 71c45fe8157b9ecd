/** A real Temporal server that authenticates callers; test/support/temporalAuth/build compiles it. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { atEnd } from './cleanup.ts';
import { requires } from './requires.ts';

export interface TemporalAuth {
  readonly address: string;
  readonly namespace: string;
  /** Signed in as this person, `jwt:<subject>` to the server; nobody without one. Closed with the test. */
  readonly clientOf: (subject?: string) => Promise<Client>;
}

/** Stopped with the test (or the file). Skips the test where the server was not compiled. */
export async function startTemporalAuth(): Promise<TemporalAuth> {
  const command = requires.temporalAuth();
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const directory = await mkdtemp(join(tmpdir(), 'outbox-temporal-auth-'));
  atEnd(() => rm(directory, { recursive: true, force: true }));
  const keys = join(directory, 'jwks.json');
  await writeFile(
    keys,
    JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'test', use: 'sig', alg: 'ES256' }] }),
  );
  // It ends with its input: also when the test's process is killed.
  const child = spawn(command, [pathToFileURL(keys).href], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (complaint = `${complaint}${text}`.slice(-4000)));
  const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()));
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const { address, namespace } = await new Promise<{ address: string; namespace: string }>(
    (resolve, reject) => {
      child.once('error', reject);
      void ended.then(() => reject(new Error(`temporald ended: ${complaint}`)));
      createInterface(child.stdout).once('line', (line) =>
        resolve(JSON.parse(line) as { address: string; namespace: string }),
      );
    },
  );
  const clientOf = async (subject?: string): Promise<Client> => {
    const token =
      subject === undefined
        ? undefined
        : await new SignJWT({ permissions: [`${namespace}:write`] })
            .setProtectedHeader({ alg: 'ES256', kid: 'test' })
            .setSubject(subject)
            .setExpirationTime('1h')
            .sign(privateKey);
    const connection = await Connection.connect({
      address,
      ...(token === undefined ? {} : { metadata: { authorization: `Bearer ${token}` } }),
    });
    atEnd(() => connection.close());
    return new Client({ connection, namespace });
  };
  return { address, namespace, clientOf };
}
