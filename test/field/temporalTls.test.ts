/** Temporal behind mutual TLS and an API key, as Temporal Cloud has it: in front of the real server, which has neither, stands a gate that asks for both. */
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { enqueue } from '../../src/index.ts';
import { expectClean, folderWith } from '../cli/commands.ts';
import { authority } from '../support/certificate.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  runCli,
  servers,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { startTemporalGate } from './temporalGate.ts';

test('doctor gets through with the certificate and the key, and is told in words what is wrong without', async () => {
  const own = authority();
  const [ours, stranger] = [own.issue(), authority().issue()];
  const gate = await startTemporalGate(servers().temporalAddress, { ...own.issue(), ca: own.cert });
  const folder = await folderWith({
    ...{ 'ca.pem': own.cert, 'ours.pem': ours.cert, 'ours.key': ours.key },
    ...{ 'stranger.pem': stranger.cert, 'stranger.key': stranger.key },
  });
  const { url } = await createTestDatabase();
  const doctor = (who: string, apiKey = 'an-api-key-of-tests') =>
    runCli(['doctor', '--json'], {
      databaseUrl: url,
      env: {
        TEMPORAL_ADDRESS: gate.address.replace('127.0.0.1', 'localhost'),
        TEMPORAL_TLS: 'true',
        TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(folder, 'ca.pem'),
        TEMPORAL_TLS_CLIENT_CERT_PATH: join(folder, `${who}.pem`),
        TEMPORAL_TLS_CLIENT_KEY_PATH: join(folder, `${who}.key`),
        TEMPORAL_API_KEY: apiKey,
      },
    });
  const through = await doctor('ours');
  const { checks } = JSON.parse(through.stdout) as {
    checks: { check: string; level: string; found: string }[];
  };
  expect(checks.find(({ check }) => check === 'Temporal')).toMatchObject({ level: 'ok' });
  expect(gate.callers.length).toBeGreaterThan(0);
  for (const { certificate, authorization } of gate.callers) {
    expect(certificate).toBe(new X509Certificate(ours.cert).serialNumber);
    expect(authorization).toBe('Bearer an-api-key-of-tests');
  }
  const refused = await doctor('stranger');
  expect(refused.code).toBe(3);
  expectClean(refused);
  expect(refused.stdout + refused.stderr).not.toContain('an-api-key-of-tests');
  expect(refused.stdout).toContain('OUTBOX_TEMPORAL_UNREACHABLE');
});

test('a certificate that is renewed on disk is shown by relay and worker within a look, and none of before is missed', async () => {
  const own = authority();
  const [first, second] = [own.issue(), own.issue()];
  const [before, after] = [first, second].map(({ cert }) => new X509Certificate(cert).serialNumber);
  const gate = await startTemporalGate(servers().temporalAddress, { ...own.issue(), ca: own.cert });
  const folder = await folderWith({ 'ca.pem': own.cert, 'ours.pem': first.cert, 'ours.key': first.key });
  withEnvironment({
    TEMPORAL_TLS: 'true',
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(folder, 'ca.pem'),
    TEMPORAL_TLS_CLIENT_CERT_PATH: join(folder, 'ours.pem'),
    TEMPORAL_TLS_CLIENT_KEY_PATH: join(folder, 'ours.key'),
  });
  const database = await createTestDatabase();
  const receiver = await startReceiver();
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: '*', to: [billing] }]`,
  );
  const address = gate.address.replace('127.0.0.1', 'localhost');
  const running = await startRun({
    databaseUrl: database.url,
    temporal: { address, namespace: servers().temporalNamespace, lookAgainMs: 200 },
  });
  const deliver = async (): Promise<void> => {
    const event = { type: 'order.created', payload: { total: 1 } };
    const { id } = await enqueue(database.pool, event, { ownTransaction: true });
    await eventually(() => expect(receiver.of(id)).toHaveLength(1));
  };
  const said = (words: string) =>
    eventually(() => expect(running.logged.some(({ message }) => message.includes(words))).toBe(true));
  await deliver();
  // Its key is not there yet: what is in use stays in use.
  await writeFile(join(folder, 'ours.pem'), second.cert);
  await said('those of before are used');
  await deliver();
  await writeFile(join(folder, 'ours.key'), second.key);
  await said('connected to Temporal anew');
  expect(gate.callers.map(({ certificate }) => certificate)).toContain(before);

  gate.banish(before!);
  const from = gate.callers.length;
  await deliver();
  const polled = (): string[] => gate.callers.slice(from).map(({ method }) => method);
  await eventually(() => expect(polled()).toContain('PollWorkflowTaskQueue'));
  for (const { certificate } of gate.callers.slice(from)) expect(certificate).toBe(after);
});

function withEnvironment(variables: Readonly<Record<string, string>>): void {
  Object.assign(process.env, variables);
  atEnd(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
  });
}
