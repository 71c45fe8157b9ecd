/** What no running process has got is named where people look, when it is applied: not when somebody misses an event. */
import { expect, test } from 'vitest';
import {
  applyTestConfig,
  createTestDatabase,
  eventually,
  runCli,
  startReceiver,
  startRun,
} from '../support/index.ts';

const value = `whsec_${Buffer.alloc(32, 4).toString('base64')}`;
const env = { BILLING_SECRET_NEW: value, SHOP_SECRET_NEW: value };

test(
  'a variable that no worker has got is named by status, status --check, doctor, /readyz and the metrics, until one has it',
  { timeout: 120_000 },
  async () => {
    const [database, receiver] = await Promise.all([createTestDatabase(), startReceiver()]);
    const config = (billing: string, shop: string): string => `
      destinations:
        billing: { type: http, url: '${receiver.url}'${billing} }
        stock: { type: http, url: '${receiver.url}' }
        ${billing === '' ? '' : `ledger: { type: http, url: '${receiver.url}'${billing} }`}
      routes: [{ match: 'order.*', to: [billing] }]
      producers: { shop: { checkBack: { url: '${receiver.url}'${shop} } } }`;
    await applyTestConfig(database, config('', ''));
    const listen = { metricsListen: { host: '127.0.0.1', port: 0 } };
    const one = await startRun({ databaseUrl: database.url, env: {}, ...listen });
    const asked = { databaseUrl: database.url };
    const metrics = async () => (await fetch(`${one.endpoints['metrics']}/metrics`)).text();
    await eventually(async () => expect(await metrics()).toMatch(/^outbox_workers 1$/m));
    expect(await metrics()).not.toContain('outbox_workers_lacking{');

    const signing = (name: string): string =>
      `, signing: { scheme: standard-webhooks, secrets: [env:${name}] }`;
    await applyTestConfig(database, config(signing('BILLING_SECRET_NEW'), signing('SHOP_SECRET_NEW')), env);
    // Nothing is written, and nobody sends.
    await eventually(
      async () => {
        const { code, stdout } = await runCli(['status', '--check'], asked);
        expect({ code, stdout }).toEqual({
          code: 1,
          stdout: expect.stringContaining('nobody can') as string,
        });
      },
      { timeout: 30_000 },
    );
    // Destinations and producers are told of one by one.
    await eventually(async () => {
      const { stdout } = await runCli(['status'], asked);
      // It goes on with the one before where there was one.
      expect(stdout).toMatch(
        /1 of 1 workers cannot send to billing as the latest configuration says \(1 go on by the one before\): .*BILLING_SECRET_NEW/,
      );
      expect(stdout).toMatch(/nobody can send to ledger: .*BILLING_SECRET_NEW/);
      expect(stdout).toMatch(/shop back.*: .*SHOP_SECRET_NEW/);
      expect(stdout).not.toContain('send to stock');
    });
    const doctor = await runCli(['doctor', '--json'], { ...asked, env });
    const { checks } = JSON.parse(doctor.stdout) as { checks: { check: string }[] };
    expect(checks.find(({ check }) => check === 'senders')).toMatchObject({
      level: 'fail',
      found: expect.stringMatching(/ledger.*BILLING_SECRET_NEW/) as string,
    });
    await eventually(async () =>
      expect(await metrics()).toMatch(
        /^outbox_workers_lacking\{kind="destination",name="ledger",problem="[^"]*BILLING_SECRET_NEW[^"]*",can="nobody"\} 1$/m,
      ),
    );
    expect(await (await fetch(`${one.endpoints['metrics']}/readyz`)).text()).toMatch(
      /cannot send to ledger: .*BILLING_SECRET_NEW/,
    );

    await startRun({ databaseUrl: database.url, env, ...listen });
    await eventually(async () => expect((await runCli(['status', '--check'], asked)).code).toBe(0), {
      timeout: 30_000,
    });
    expect((await runCli(['status'], asked)).stdout).toMatch(/1 of 2 workers cannot send to ledger/);
    await one.stop();
    expect((await runCli(['status', '--json'], asked)).stdout).toMatch(/"lacking": ?\[\]/);
  },
);
