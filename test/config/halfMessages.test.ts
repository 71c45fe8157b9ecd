/** The sections `producers` and `api`. */
import { describe, expect, it } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { withLines } from './fixtures.ts';
import { describeRefusals, invalid, secretMissing, type Row } from './refusals.ts';

const checkBack = (text: string) => `${withLines()}producers:\n  shop: { checkBack: { ${text} } }\n`;
const api = (text: string) => `${withLines()}api: { ${text} }\n`;
const url = "url: 'http://shop.test/check-back'";
const at = 'producers.shop.checkBack';

const producers: Row[] = [
  ['no check-back', `${withLines()}producers: { shop: {} }\n`, invalid, 7, at, 'it is missing'],
  ['neither url nor handler', checkBack('timeout: 5s'), invalid, 8, at, 'exactly one of url and handler'],
  [
    'both url and handler',
    checkBack(`${url}, handler: shop`),
    invalid,
    8,
    at,
    'exactly one of url and handler',
  ],
  [
    'signing beside a handler',
    checkBack(
      'handler: shop, signing: { scheme: standard-webhooks, secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw] }',
    ),
    invalid,
    8,
    `${at}.signing`,
    'no effect',
  ],
  [
    'an address that is never reached',
    checkBack("url: 'http://169.254.169.254/'"),
    invalid,
    8,
    `${at}.url`,
    'link-local',
  ],
  ['a file', checkBack("url: 'file:///etc/passwd'"), invalid, 8, `${at}.url`, 'http://'],
  ['a grace without unit', checkBack(`${url}, grace: 5`), invalid, 8, `${at}.grace`, 'a duration'],
  ['an empty schedule', checkBack(`${url}, schedule: []`), invalid, 8, `${at}.schedule`, '1 to 100'],
  ['an unknown key', checkBack(`${url}, gracee: 5s`), invalid, 8, `${at}.gracee`, 'did you mean grace?'],
  [
    'a name of capitals',
    `${withLines()}producers: { Shop: { checkBack: { ${url} } } }\n`,
    invalid,
    7,
    'producers.Shop',
    'a-z',
  ],
  [
    'a secret that is not set',
    checkBack(`${url}, auth: { bearer: env:NOT_SET }`),
    secretMissing,
    8,
    `${at}.auth.bearer`,
    'NOT_SET',
  ],
];

const apis: Row[] = [
  [
    'every address without a token',
    api("listen: '0.0.0.0:8080'"),
    'OUTBOX_API_UNPROTECTED',
    7,
    'api.listen',
    'tokens',
  ],
  ['no port', api('listen: localhost'), invalid, 7, 'api.listen', 'an address and a port'],
  ['a short token', api('tokens: [env:SHORT]'), invalid, 7, 'api.tokens[0]', '16 to 512'],
  ['a token that is not set', api('tokens: [env:NOT_SET]'), secretMissing, 7, 'api.tokens[0]', 'NOT_SET'],
  ['no token in the list', api('tokens: []'), invalid, 7, 'api.tokens', '1 to 10'],
];

describeRefusals('producers', producers);
describeRefusals('api', apis);

describe('taken:', () => {
  it('a producer, with what is left out filled in', () => {
    const { config, warnings } = parseConfig(checkBack(url), { env: {} });
    expect(warnings).toEqual([]);
    expect(config.producers).toMatchObject([
      { name: 'shop', graceMs: 30_000, checkBack: { kind: 'http', timeoutMs: 5_000, signing: null } },
    ]);
    const [producer] = explainConfig(config, {}).producers;
    expect(producer?.checksAtMs).toHaveLength(15);
    expect(producer?.checksAtMs.at(-1)).toBeGreaterThan(5 * 3_600_000);
  });

  it('a handler, and the API on loopback without a token', () => {
    const { config } = parseConfig(`${checkBack('handler: shop, grace: 1m')}api: {}\n`, { env: {} });
    expect(config.producers[0]?.checkBack).toEqual({ kind: 'handler', handler: 'shop', timeoutMs: 5_000 });
    expect(config.api).toEqual({ listen: { host: '127.0.0.1', port: 8080 }, tokens: [] });
    expect(explainConfig(config, {}).text).toContain('handler shop');
  });

  it('every address with a token, of which nothing is shown', () => {
    const env = { TOKEN: 'a-token-that-nobody-knows' };
    const { config } = parseConfig(api("listen: '0.0.0.0:8080', tokens: [env:TOKEN]"), { env });
    const { text } = explainConfig(config, env);
    expect(text).toContain('env:TOKEN');
    expect(text).not.toContain(env.TOKEN);
    expect(JSON.stringify(config)).not.toContain(env.TOKEN);
  });
});
