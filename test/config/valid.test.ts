import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import type { HttpDestinationConfig } from '../../src/destination/http/config.ts';
import type { OutboxConfig } from '../../src/core/destination.ts';
import { contractExample, environment, withLines } from './fixtures.ts';

const parse = (text: string, env = environment) => parseConfig(text, { env });
const httpOf = ({ config }: { readonly config: OutboxConfig }) =>
  config.destinations as readonly HttpDestinationConfig[];
const billing = (...lines: string[]) => {
  const [destination] = httpOf(parse(withLines(...lines)));
  if (destination === undefined) throw new Error('billing is missing');
  return destination;
};

describe('a valid outbox.yaml', () => {
  it('comes out with durations in milliseconds and addresses as written', () => {
    const { config, warnings } = parse(contractExample);
    expect(warnings).toEqual([]);
    expect(config.name).toBe('orders');
    expect(config.routes).toEqual([{ match: 'order.*', where: '$.total ? (@ > 100)', to: ['billing'] }]);
    expect(config.destinations[0]).toMatchObject({
      name: 'billing',
      url: '${BILLING_URL}',
      timeoutMs: 15_000,
      retry: {
        initialIntervalMs: 5_000,
        maximumIntervalMs: 3_600_000,
        scheduleToCloseTimeoutMs: 259_200_000,
      },
      signing: { scheme: 'standard-webhooks', secrets: ['env:BILLING_SECRET'] },
    });
  });

  it('means the same when it leaves every default out', () => {
    const short = parse(withLines('signing: { scheme: standard-webhooks, secrets: [env:BILLING_SECRET] }'));
    const long = parse(contractExample.replace('${BILLING_URL}', 'http://billing.test/'));
    expect(short.config.destinations).toEqual(long.config.destinations);
  });

  it('may begin with a byte-order mark, end its lines with CR LF, and be JSON', () => {
    const { config } = parse(contractExample);
    expect(parse(`\ufeff${contractExample}`).config).toEqual(config);
    expect(parse(contractExample.replaceAll('\n', '\r\n')).config).toEqual(config);
    const json = { destinations: { billing: { type: 'http', url: 'http://billing.test/' } } };
    expect(parse(JSON.stringify(json)).config.destinations[0]?.name).toBe('billing');
  });

  it('may share a part through an anchor', () => {
    const text = withLines('retry: &gentle { initialInterval: 1m }').replace(
      'routes:',
      '  other: { type: http, url: "http://other.test/", retry: *gentle }\nroutes:',
    );
    expect(parse(text).config.destinations.map(({ retry }) => retry.initialIntervalMs)).toEqual([
      60_000, 60_000,
    ]);
  });

  it('keeps destinations in the order of the file', () => {
    const one = '{ type: http, url: "http://a.test/" }';
    const { config } = parse(`destinations:\n  zeta: ${one}\n  alpha: ${one}\n`);
    expect(config.destinations.map(({ name }) => name)).toEqual(['zeta', 'alpha']);
  });

  it('survives being stored as JSON', () => {
    const { config } = parse(contractExample);
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });
});

describe('a schedule', () => {
  it('allows one attempt more than it has entries', () => {
    const { retry } = billing('retry: { schedule: [5s, 5m, 30m, 2h, 5h, 10h, 10h] }');
    expect(retry.maximumAttempts).toBe(8);
    expect(retry.scheduleMs?.slice(0, 2)).toEqual([5_000, 300_000]);
  });

  it('may be cut short by maximumAttempts', () => {
    expect(billing('retry: { schedule: [5s, 5m], maximumAttempts: 2 }').retry.maximumAttempts).toBe(2);
  });
});

describe('an http destination', () => {
  it('takes a rate, and an order by key', () => {
    expect(billing('rateLimit: { limit: 500, per: 1m }', 'ordering: key', 'onPark: skip')).toMatchObject({
      rateLimit: { limit: 500, perMs: 60_000 },
      ordering: 'key',
      onPark: 'skip',
    });
  });

  it('is warned of an onPark that nothing asks for', () => {
    const { warnings } = parse(withLines('onPark: skip'));
    expect(warnings).toMatchObject([{ key: 'destinations.billing.onPark', line: 5 }]);
  });

  it('takes credentials by name', () => {
    expect(billing('auth: { bearer: env:BILLING_SECRET }').auth).toEqual({
      kind: 'bearer',
      token: 'env:BILLING_SECRET',
    });
    expect(billing('auth: { basic: { username: me, password: env:BILLING_SECRET } }').auth).toEqual({
      kind: 'basic',
      username: 'me',
      password: 'env:BILLING_SECRET',
    });
  });

  it('takes method, headers, key form, CloudEvents and the length of excerpts', () => {
    const lines = [
      'method: PUT',
      'headers: { x-team: payments, x-env: env:BILLING_URL }',
      'idempotencyKey: { quoted: false }',
      'cloudEvents: binary',
      'responseExcerpt: 0',
    ];
    expect(billing(...lines)).toMatchObject({
      method: 'PUT',
      headers: { 'x-team': 'payments', 'x-env': 'env:BILLING_URL' },
      idempotencyKey: { quoted: false },
      cloudEvents: 'binary',
      responseExcerpt: 0,
    });
  });

  it('may be private or loopback unless that is switched off', () => {
    const at = (url: string) => withLines().replace('http://billing.test/', url);
    for (const url of [
      'http://localhost:3000/',
      'http://127.0.0.1/',
      'http://[::1]:80/',
      'https://10.1.2.3/a?b=c',
    ]) {
      expect(httpOf(parse(at(url)))[0]?.url).toBe(url);
    }
  });
});

describe('a warning', () => {
  const warningsOf = (text: string) =>
    parse(text).warnings.map(({ line, key, message }) => ({ line, key, message }));

  it('is given for a secret in the file, without showing it', () => {
    const secret = environment.BILLING_SECRET;
    const warnings = warningsOf(
      withLines(
        `signing: { scheme: standard-webhooks, secrets: [${secret}] }`,
        `auth: { bearer: ${secret} }`,
        `headers: { x-api-key: ${secret} }`,
      ),
    );
    expect(warnings.map(({ line, key }) => [line, key])).toEqual([
      [5, 'destinations.billing.signing.secrets[0]'],
      [6, 'destinations.billing.auth.bearer'],
      [7, 'destinations.billing.headers.x-api-key'],
    ]);
    expect(JSON.stringify(warnings)).not.toContain(secret);
  });

  it('is given for attempts that scheduleToCloseTimeout cuts off', () => {
    expect(warningsOf(withLines('retry: { scheduleToCloseTimeout: 1h }'))).toEqual([
      {
        line: 5,
        key: 'destinations.billing.retry',
        message: 'scheduleToCloseTimeout (1 h) ends after attempt 7 of 12',
      },
    ]);
  });

  it('is given for a destination without a route, and for a file without routes', () => {
    const [unrouted] = warningsOf(
      withLines().replace('[billing]', '[other]').replace('routes:', otherDestination),
    );
    expect(unrouted).toMatchObject({ line: 3, key: 'destinations.billing' });
    expect(unrouted?.message).toContain('no route');
    expect(warningsOf(withLines().replace(/routes:[^]*/, ''))).toMatchObject([{ key: 'routes' }]);
  });

  const otherDestination = '  other: { type: http, url: "http://other.test/" }\nroutes:';

  it('takes the place of a missing variable where nothing is sent', () => {
    const { config, warnings } = parseConfig(contractExample, { env: {}, missingEnvironment: 'warn' });
    expect(httpOf({ config })[0]?.url).toBe('${BILLING_URL}');
    expect(warnings.map(({ line }) => line)).toEqual([5, 16]);
  });
});
