/** How a receiver is reached: mutual TLS, OAuth 2, a proxy. */
import { describe, expect, it } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { withLines } from './fixtures.ts';
import { describeRefusals, invalid, secretMissing, type Row } from './refusals.ts';

const at = 'destinations.billing';
const oauth2 = (changes: Record<string, string> = {}) => {
  const keys = {
    tokenUrl: 'https://idp.test/token',
    clientId: 'a',
    clientSecret: 'env:BILLING_SECRET',
    ...changes,
  };
  const written = Object.entries(keys).map(([key, value]) => `${key}: ${value}`);
  return withLines(`auth: { oauth2: { ${written.join(', ')} } }`);
};

const rows: Row[] = [
  [
    'a certificate without its key',
    withLines('tls: { cert: "-----BEGIN CERTIFICATE-----" }'),
    invalid,
    5,
    `${at}.tls`,
    'together',
  ],
  [
    'a file that is not there',
    withLines('tls: { ca: file:/nowhere/ca }'),
    secretMissing,
    5,
    `${at}.tls.ca`,
    'ENOENT',
  ],
  [
    'a file that is no PEM',
    withLines('tls: { ca: file:/etc/passwd }'),
    secretMissing,
    5,
    `${at}.tls.ca`,
    'no PEM',
  ],
  ['a device', withLines('tls: { ca: file:/dev/zero }'), secretMissing, 5, `${at}.tls.ca`, 'is no file'],
  [
    'a path from somewhere',
    withLines('tls: { ca: file:ca.pem }'),
    invalid,
    5,
    `${at}.tls.ca`,
    'absolute path',
  ],
  [
    'a variable that is no PEM',
    withLines('tls: { ca: env:LINES }'),
    secretMissing,
    5,
    `${at}.tls.ca`,
    'no PEM',
  ],
  ['TLS switched on', withLines('tls: true'), invalid, 5, `${at}.tls`, 'expected a mapping'],
  [
    'a proxy without scheme',
    withLines('proxy: proxy:3128'),
    invalid,
    5,
    `${at}.proxy`,
    'such as http://host',
  ],
  [
    'a proxy of another kind',
    withLines('proxy: socks5://p'),
    invalid,
    5,
    `${at}.proxy`,
    'the scheme socks5:',
  ],
  ['a proxy with a path', withLines('proxy: http://p/x'), invalid, 5, `${at}.proxy`, 'without a path'],
  ['a proxy at metadata', withLines('proxy: http://169.254.169.254'), invalid, 5, `${at}.proxy`, 'never are'],
  ['a proxy from nowhere', withLines('proxy: env:NOWHERE'), secretMissing, 5, `${at}.proxy`, 'NOWHERE'],
  [
    'a token endpoint at metadata',
    oauth2({ tokenUrl: 'https://169.254.1.1/' }),
    invalid,
    5,
    `${at}.auth.oauth2.tokenUrl`,
    'never are',
  ],
  [
    'a token endpoint of another kind',
    oauth2({ tokenUrl: '"file:///etc/passwd"' }),
    invalid,
    5,
    `${at}.auth.oauth2.tokenUrl`,
    'scheme file:',
  ],
  ['no client', oauth2({ clientId: '""' }), invalid, 5, `${at}.auth.oauth2.clientId`, 'the id of a client'],
  [
    'a client secret from nowhere',
    oauth2({ clientSecret: 'env:NOWHERE' }),
    secretMissing,
    5,
    `${at}.auth.oauth2.clientSecret`,
    'NOWHERE',
  ],
  [
    'another way to log in',
    oauth2({ sendAs: 'query' }),
    invalid,
    5,
    `${at}.auth.oauth2.sendAs`,
    'basic or body',
  ],
  ['an unknown key', oauth2({ scopes: 'a' }), invalid, 5, `${at}.auth.oauth2.scopes`, 'scope'],
];

describeRefusals('the way to a receiver', rows);

const warningsOf = (text: string, env: Record<string, string>) =>
  parseConfig(text, { env: { BILLING_SECRET: 'x'.repeat(20), ...env } }).warnings.map(
    ({ key, message }) => `${key}: ${message}`,
  );
const proxied = { HTTPS_PROXY: 'http://me:s3cr3t@proxy.test:3128' };
const outside = (more = '') =>
  withLines(...(more === '' ? [] : [more])).replace('http://billing.test', 'https://billing.test');

describe('HTTPS_PROXY', () => {
  it('that nobody follows is said, and how to say what is meant', () => {
    expect(warningsOf(outside(), proxied)).toEqual([
      `${at}: HTTPS_PROXY is set and not used here: say proxy: \${HTTPS_PROXY} to go through it, or proxy: none to go straight`,
    ]);
  });

  it.each([
    ['where the destination says so', outside('proxy: none'), proxied],
    ['where it is used', outside('proxy: ${HTTPS_PROXY}'), proxied],
    ['where NO_PROXY names the receiver', outside(), { ...proxied, NO_PROXY: 'localhost,.test' }],
    ['for what is not https', withLines(), proxied],
    ['for an address inside', outside().replace('billing.test', '10.0.0.7'), proxied],
  ])('is no matter %s', (_, text, env) => {
    expect(warningsOf(text, env)).toEqual([]);
  });

  it('is given to a proxy and to nothing else', () => {
    for (const line of ['headers: { x-a: env:HTTPS_PROXY }', 'proxy: http://x${HTTPS_PROXY}@evil.test'])
      expect(() => parseConfig(withLines(line), { env: proxied })).toThrow(/reserved for this process/);
  });
});

it('what travels as it is is warned of', () => {
  expect(
    warningsOf(oauth2({ tokenUrl: 'http://idp.test/token', clientSecret: 'written-in-the-file' }), {}),
  ).toEqual([
    expect.stringContaining('without https the client secret'),
    expect.stringContaining('a secret is written in the file'),
  ]);
});

it('is explained without a secret', () => {
  const env = { PROXY: 'http://me:s3cr3t@proxy.test:3128', SECRET: 'the-client-secret' };
  const text = oauth2({ clientSecret: 'env:SECRET' }).replace('routes:', '    proxy: env:PROXY\nroutes:');
  const explained = explainConfig(parseConfig(text, { env }).config, env);
  expect(explained.text).toContain('login          oauth2, tokens from https://idp.test/token\n');
  expect(explained.text).toContain('proxy          http://proxy.test:3128\n');
  expect(JSON.stringify(explained)).not.toMatch(/s3cr3t|the-client-secret/);
});
