import { describe, expect, it } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { contractExample, environment, withLines } from './fixtures.ts';

function explain(text: string, env: Record<string, string> = environment) {
  return explainConfig(parseConfig(text, { env }).config, env);
}

describe('an explained configuration', () => {
  it('says where, how often and until when each destination is tried', () => {
    expect(explain(contractExample).text).toBe(`billing (http)
  address        POST http://billing.test/hooks
  deadline       15 s an attempt, 50 at once
  signed         yes, with env:BILLING_SECRET
  login          none
  attempts       attempt 1 at once, 2 after 5 s, 3 after 20 s, 4 after 1 min 5 s,
                 5 after 3 min 20 s, 6 after 10 min 5 s, 7 after 30 min 20 s, 8 after 1 h 30 min,
                 9 after 2 h 30 min, 10 after 3 h 30 min, 11 after 4 h 30 min,
                 12 after 5 h 30 min; gives up after 5 h 30 min, each delay ± 20 %
  unreachable    network errors, timeouts, 429, 502, 503, 504 cost no attempt; tried for 3 d
  parks at once  400, 401, 403, 404, 405, 410, 413, 415, 422, 501
  routes         order.* where $.total ? (@ > 100)
`);
  });

  it('says by what order and at what rate, where there is one', () => {
    const { text } = explain(withLines('ordering: key', 'onPark: skip', 'rateLimit: { limit: 90, per: 1m }'));
    expect(text).toContain('order          by key, one after another; a parked event lets its key pass\n');
    expect(text).toContain('rate           at most 90 in 1 min, retries included\n');
  });

  it('gives the same as data', () => {
    const [billing] = explain(contractExample).destinations;
    expect(billing).toMatchObject({
      name: 'billing',
      address: 'http://billing.test/hooks',
      url: '${BILLING_URL}',
      signedWith: ['env:BILLING_SECRET'],
      givesUpAfterMs: 19_820_000,
      givesUpBecause: 'attempts-exhausted',
    });
    expect(billing?.attempts).toHaveLength(12);
  });

  it('says when scheduleToCloseTimeout ends it before the attempts do', () => {
    const { destinations, text } = explain(withLines('retry: { scheduleToCloseTimeout: 1h }'));
    expect(destinations[0]).toMatchObject({ givesUpBecause: 'schedule-to-close', givesUpAfterMs: 1_820_000 });
    expect(text.replace(/\s+/g, ' ')).toContain('the next would exceed scheduleToCloseTimeout');
  });

  it('shortens a timetable of thousands', () => {
    const { text } = explain(
      withLines('retry: { initialInterval: 1s, maximumInterval: 1s, maximumAttempts: 10000 }'),
    );
    expect(text).toMatch(/…,\s+10000 after 2 h 46 min;/);
    expect(text.length).toBeLessThan(2_000);
  });

  it('says that there is one attempt only', () => {
    const { text } = explain(withLines('retry: { maximumAttempts: 1 }'));
    expect(text).toContain('attempt 1 at once; no second one');
  });

  it('names a variable that is not set in place of the address', () => {
    const { config } = parseConfig(contractExample, { env: environment });
    const { destinations, text } = explainConfig(config, {});
    expect(destinations[0]).toMatchObject({ address: null, missingVariables: ['BILLING_URL'] });
    expect(text).toContain('POST ${BILLING_URL} (not set: BILLING_URL)');
  });

  it('never shows a secret', () => {
    const secret = 'hunter2hunter2';
    const text = withLines(`auth: { bearer: ${secret} }`, `headers: { x-api-key: ${secret} }`)
      .replace('http://billing.test/', '"http://billing.test/${HOOK_TOKEN}?sig=${SIGN}&a=b"')
      .replace(
        'routes:',
        `    signing: { scheme: standard-webhooks, secrets: [${environment.BILLING_SECRET}] }\nroutes:`,
      );
    const explanation = explain(text, { HOOK_TOKEN: secret, SIGN: secret });
    expect(JSON.stringify(explanation)).not.toContain(secret);
    expect(JSON.stringify(explanation)).not.toContain(environment.BILLING_SECRET);
    expect(explanation.destinations[0]).toMatchObject({
      address: 'http://billing.test/***?sig=***&a=***',
      signedWith: ['inline'],
    });
  });
});
