import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { http } from '../../src/destination/http/index.ts';
import { Connections } from '../../src/destination/shared/connections.ts';
import { wholeShare } from '../../src/destination/shared/share.ts';
import { authority } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { closeSenders, deliverTo, destination, sender } from './support/fixtures.ts';
import { closeSecured, securedReceiver } from './support/secured.ts';

let folder: string;
const ours = authority();
const server = ours.issue();
const asksForCertificates = { ...server, ca: ours.cert, requestCert: true, rejectUnauthorized: true };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outbox-tls-'));
});

afterEach(async () => {
  await closeSenders();
  await closeSecured();
  await rm(folder, { recursive: true });
});

const serial = (cert: string) => new X509Certificate(cert).serialNumber;
const trusting = (parts: { cert?: string; key?: string; insecure?: boolean } = {}) => ({
  tls: { ca: 'env:CA', cert: null, key: null, insecure: false, ...parts },
});

async function onDisk({ cert, key }: { cert: string; key: string }) {
  await writeFile(join(folder, 'tls.crt'), cert);
  await writeFile(join(folder, 'tls.key'), key);
  return { cert: `file:${folder}/tls.crt`, key: `file:${folder}/tls.key` };
}

describe('a receiver that asks for a certificate', () => {
  it('gets that of the destination, from the environment', async () => {
    const receiver = await securedReceiver(asksForCertificates);
    const client = ours.issue();
    const env = { CA: ours.cert, CERT: client.cert, KEY: client.key };
    const outcome = await deliverTo(
      receiver.url,
      trusting({ cert: 'env:CERT', key: 'env:KEY' }),
      {},
      { env },
    );
    expect(outcome).toMatchObject({ kind: 'acknowledged', status: 204 });
    expect(receiver.seen[0]?.certificate).toBe(serial(client.cert));
  });

  it('is not reached without one, or with one that it does not know: its outage, charged to nobody', async () => {
    const receiver = await securedReceiver(asksForCertificates);
    const stranger = authority().issue();
    const env = { CA: ours.cert, CERT: stranger.cert, KEY: stranger.key };
    for (const tls of [trusting(), trusting({ cert: 'env:CERT', key: 'env:KEY' })]) {
      const outcome = await deliverTo(receiver.url, tls, {}, { env });
      expect(outcome).toMatchObject({ kind: 'unreachable', status: null });
      expect(outcome).toHaveProperty('errorClass', expect.stringMatching(/^(tls-|connection-reset)/));
    }
    expect(receiver.seen).toEqual([]);
  });

  it('is asked for its own: one that our authority does not vouch for gets nothing, unless any will do', async () => {
    const receiver = await securedReceiver(authority().issue());
    const env = { CA: ours.cert };
    expect(await deliverTo(receiver.url, trusting(), {}, { env })).toMatchObject({
      kind: 'unreachable',
      errorClass: 'tls-certificate',
    });
    expect(receiver.seen).toEqual([]);
    expect(await deliverTo(receiver.url, trusting({ insecure: true }), {}, { env })).toMatchObject({
      kind: 'acknowledged',
    });
  });

  it('sees a certificate that was renewed on disk, without a new start', async () => {
    const receiver = await securedReceiver(asksForCertificates);
    const [before, after] = [ours.issue(), ours.issue()];
    const { deliver } = sender(receiver.url, trusting(await onDisk(before)), {
      env: { CA: ours.cert },
      // Each message has a connection of its own.
      ...{ connectionAgeMs: 0 },
    });
    await deliver();
    expect(receiver.seen.at(-1)?.certificate).toBe(serial(before.cert));
    // Half of a renewal: the new certificate, the old key.
    await writeFile(join(folder, 'tls.crt'), after.cert);
    for (const until = Date.now() + 1_500; Date.now() < until;)
      expect(await deliver()).toMatchObject({ kind: 'acknowledged' });
    expect(receiver.seen.at(-1)?.certificate).toBe(serial(before.cert));
    await onDisk(after);
    await eventually(async () => {
      expect(await deliver()).toMatchObject({ kind: 'acknowledged' });
      expect(receiver.seen.at(-1)?.certificate).toBe(serial(after.cert));
    });
  });

  it('is asked by probes and by doctor with it too, and doctor says how long it is good', async () => {
    const receiver = await securedReceiver(asksForCertificates);
    const tls = trusting(await onDisk(ours.issue()));
    const circuit = { ...destination('').circuit, probeUrl: receiver.url };
    const env = { CA: ours.cert };
    const probing = sender(receiver.url, { ...tls, circuit }, { env });
    expect(await probing.check?.(new AbortController().signal)).toMatchObject({ kind: 'acknowledged' });
    const services = {
      env,
      share: wholeShare,
      connections: new Connections(),
      log: { info: () => undefined, warn: () => undefined },
      now: Date.now,
    };
    expect(await http.inspect?.(destination(receiver.url, tls), services)).toEqual([
      { level: 'ok', found: 'our certificate is good until 2099-01-01', hint: null },
      expect.objectContaining({ level: 'ok', found: expect.stringContaining('takes connections') as string }),
    ]);
    expect(
      await http.inspect?.(destination(receiver.url, tls), {
        ...services,
        now: () => Date.parse('2098-12-25'),
      }),
    ).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });
});

describe('certificates that cannot be used', () => {
  it.each([
    [
      'a file that is not there',
      { cert: 'file:/nowhere/tls.crt', key: 'file:/nowhere/tls.key' },
      /cannot be read \(ENOENT\)/,
    ],
    ['a file that is no PEM', { cert: 'file:/etc/passwd', key: 'file:/etc/passwd' }, /holds no PEM/],
    ['a folder', { cert: 'file:/etc', key: 'file:/etc' }, /is no file/],
    ['a path that is not absolute', { cert: 'file:tls.crt', key: 'file:tls.key' }, /absolute path/],
    [
      'a key of another certificate',
      { cert: 'env:CERT', key: 'env:OTHER' },
      /certificate and key cannot be used/,
    ],
    ['an empty variable', { cert: 'env:NONE', key: 'env:NONE' }, /variable NONE is missing/],
  ])('%s refuses in words, and shows nothing of it', async (_, parts, words) => {
    const client = ours.issue();
    const env = { CA: ours.cert, CERT: client.cert, OTHER: ours.issue().key };
    const outcome = await deliverTo('https://localhost:1/', trusting(parts), {}, { env });
    expect(outcome).toMatchObject({ kind: 'refused', errorClass: 'bad-configuration' });
    expect(outcome).toHaveProperty('message', expect.stringMatching(words));
    expect(JSON.stringify(outcome)).not.toMatch(/root:|BEGIN [A-Z]+ ?[A-Z]*-----\\n/);
  });
});
