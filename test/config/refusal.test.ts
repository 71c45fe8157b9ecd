import { describe, expect, it } from 'vitest';
import { withLines } from './fixtures.ts';
import { invalid, problemsOf } from './refusals.ts';

const url = (address: string) => withLines().replace('http://billing.test/', address);
const header = (name: string, value = 'x') => withLines(`headers: { ${name}: ${value} }`);
const signing = (secret: string) => withLines(`signing: { scheme: standard-webhooks, secrets: [${secret}] }`);

describe('a refusal', () => {
  it('lists several problems at once, in the order of the file', () => {
    const text = withLines('timeout: 5', 'retires: {}', 'concurrency: 0', 'onPark: never').replace(
      '[billing]',
      '[biling]',
    );
    const error = problemsOf(text);
    expect(error.code).toBe(invalid);
    expect(error.problems.map(({ line, key }) => `${line} ${key}`)).toEqual([
      '5 destinations.billing.timeout',
      '6 destinations.billing.retires',
      '7 destinations.billing.concurrency',
      '8 destinations.billing.onPark',
      '10 routes[0].to[0]',
    ]);
    expect(error.message.split('\n')).toHaveLength(6);
  });

  it('gives the column, not counting a byte-order mark', () => {
    expect(problemsOf(`\ufeffname: "A B"\n${withLines()}`).problems[0]).toMatchObject({ line: 1, column: 7 });
  });

  it('points at the use of an alias, not into what it stands for', () => {
    const text = `name: orders\n${withLines('retry: &r { jitter: 2 }')}`;
    const twice = text.replace(
      'routes:',
      '  other: { type: http, url: "http://o.test/", retry: *r }\nroutes:',
    );
    expect(problemsOf(twice).problems.map(({ line }) => line)).toEqual([6, 7]);
  });

  it('never shows a secret, an address or a credential', () => {
    const secret = 'hunter2hunter2';
    const texts = [
      signing(secret),
      signing(`{ a: ${secret} }`),
      url(`http://user:${secret}@a.test/`),
      url(`ftp://${secret}`),
      header('x-a', `"${secret}\\r\\n"`),
      withLines(`auth: { bearer: "${secret}\\n" }`),
      withLines(`auth: { bearer: [${secret}] }`),
      withLines(`auth: ${secret}`),
      `a: [ "${secret}" "b" ]`,
      `"${secret}`,
    ];
    for (const text of texts) {
      const error = problemsOf(text);
      expect(`${error.message} ${JSON.stringify(error.problems)} ${error.stack}`).not.toContain(secret);
    }
  });

  it('keeps terminal control and bidirectional characters out of its message', () => {
    const { message } = problemsOf(withLines('"\\e[31m\\u202e": 1', 'timeout: "\\e[2J\\u202e"'));
    expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
  });

  it('prints twenty problems and counts the rest', () => {
    const lines = Array.from({ length: 60 }, (_, index) => `unknown${index}: 1`);
    const { message, problems } = problemsOf(withLines(...lines));
    expect(problems).toHaveLength(60);
    expect(message.split('\n')).toHaveLength(22);
    expect(message).toContain('and 40 more');
  });
});
