/** Temporal behind mutual TLS and an API key, as Temporal Cloud has it: in front of the real server, which has neither, stands a gate that asks for both. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClean, folderWith } from '../cli/commands.ts';
import { authority } from '../support/certificate.ts';
import { createTestDatabase, runCli, servers } from '../support/index.ts';
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
