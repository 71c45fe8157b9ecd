/** Whoever may apply a configuration reads, by ${NAME} and env:NAME, what the sending process was given for it, and nothing else. */
import { describe, expect, it } from 'vitest';
import { expandEnvironment } from '../../src/core/environment.ts';
import { whyClosed } from '../../src/core/reserved.ts';
import { resolveSecret } from '../../src/core/secrets.ts';

describe('a variable of the process itself', () => {
  it.each([
    'OUTBOX_DATABASE_URL',
    'outbox_database_url',
    'Outbox_Database_Url',
    'OUTBOX_API_DATABASE_URL',
    'OUTBOX_API_TOKEN',
    'OUTBOX_API_TOKEN_NEXT',
    'OUTBOX_ENV_ALLOW',
    'TEMPORAL_API_KEY',
    'TEMPORAL_TLS_CLIENT_KEY_DATA',
    'PGPASSWORD',
    'PGSSLKEY',
    'DATABASE_URL',
    'ORDERS_DATABASE_URL',
    'POSTGRES_PASSWORD',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'AWS_CONTAINER_AUTHORIZATION_TOKEN',
    'AZURE_CLIENT_SECRET',
    'GOOGLE_APPLICATION_CREDENTIALS',
    'NODE_OPTIONS',
    'LD_PRELOAD',
    'PATH',
    'HTTPS_PROXY',
  ])('%s is given to no address and no secret, allowed or not', (name) => {
    const env = { [name]: 'value of it, long enough', OUTBOX_ENV_ALLOW: '*' };
    const closed = expect.objectContaining({ code: 'OUTBOX_VARIABLE_CLOSED' }) as Error;
    expect(() => resolveSecret(`env:${name}`, env)).toThrow(closed);
    const { text, closed: why = [] } = expandEnvironment(`https://evil.example/\${${name}}`, env);
    expect(text).toBe(`https://evil.example/\${${name}}`);
    expect(why).toHaveLength(1);
    expect(why.join()).not.toContain('value of it');
  });

  it.each([
    'BILLING_URL',
    'BILLING_TOKEN',
    'AWS_REGION',
    'PGP_KEY',
    'GITHUB_WEBHOOK_SECRET',
    'STOCK_PG_KEY',
    'OUTBOX_HELLO_URL',
    'PATHS',
  ])('%s is none', (name) => expect(whyClosed(name, { [name]: 'x' })).toBeNull());

  it.each(['postgresql://me:pw@db/orders', 'amqps://me:pw@mq', 'redis://:pw@cache', 'mysql://token@db'])(
    'is what holds %s, whatever its name',
    (value) => {
      expect(whyClosed('STOCK', { STOCK: value })).toMatch(/address with credentials/);
      expect(whyClosed('STOCK', { STOCK: value })).not.toContain('pw');
    },
  );

  it('with credentials inside may be the whole address of a server, not a part of one', () => {
    const env = { RABBIT: 'amqp://me:pw@mq' };
    expect(resolveSecret('env:RABBIT', env, 'address')).toBe('amqp://me:pw@mq');
    expect(expandEnvironment('amqp://evil/${RABBIT}', env).closed).toHaveLength(1);
    expect(() => resolveSecret('env:PGPASSWORD', { PGPASSWORD: 'x' }, 'address')).toThrow(/reserved/);
  });

  it('may be a token of our own API, and of nothing that is sent', () => {
    const env = { OUTBOX_API_TOKEN: 'token' };
    expect(resolveSecret('env:OUTBOX_API_TOKEN', env, 'api-token')).toBe('token');
    expect(() => resolveSecret('env:OUTBOX_DATABASE_URL', { OUTBOX_DATABASE_URL: 'x' }, 'api-token')).toThrow(
      /reserved/,
    );
  });
});

describe('OUTBOX_ENV_ALLOW', () => {
  const allowed = (list: string, name: string) =>
    whyClosed(name, { [name]: 'x', OUTBOX_ENV_ALLOW: list }) === null;

  it.each([
    ['BILLING_*,STOCK_*', 'BILLING_URL', true],
    ['BILLING_*, STOCK_URL ', 'STOCK_URL', true],
    ['BILLING_*', 'STOCK_URL', false],
    ['BILLING_*', 'MY_BILLING_URL', false],
    ['BILLING_*', 'billing_url', false],
    ['*_SECRET', 'BILLING_SECRET', true],
    ['*_SECRET', 'SECRET', false],
    ['A*B*C', 'A1B2C', true],
    ['A*B*C', 'AC', false],
    ['AB*BC', 'ABC', false],
    ['*', 'ANYTHING', true],
    [',', 'ANYTHING', false],
    ['BILLING.URL', 'BILLING_URL', false],
    ['', 'ANYTHING', true],
    ['  ', 'ANYTHING', true],
  ])('%j and %s: %s', (list, name, expected) => expect(allowed(list, name)).toBe(expected));

  it('is not among what it opens', () => expect(allowed('*', 'OUTBOX_ENV_ALLOW')).toBe(false));
});
