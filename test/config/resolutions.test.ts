/** `resolutions` and `runbook` of a destination: what is taken, what it comes to, and what is refused. */
import { expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { parseConfig } from '../../src/config/load.ts';
import { environment, withLines } from './fixtures.ts';
import { describeRefusals, invalid, type Row } from './refusals.ts';

const others = '  audit: { type: http, url: http://audit.test/ }\nroutes:';
const two = (...lines: string[]) => withLines(...lines).replace('routes:', others);
const taken = (text: string) => parseConfig(text, { path: 'outbox.yaml', env: environment }).config;

test('what is not said may be done by anyone, and nothing is stored of what is not there', () => {
  const [billing, audit] = taken(
    two('resolutions: { edit: cli, redirectTo: [audit] }', 'runbook: https://wiki.test/x?p=1#a'),
  ).destinations;
  expect(billing?.resolutions).toEqual({
    retry: 'anyone',
    edit: 'cli',
    redirect: 'anyone',
    discard: 'anyone',
    redirectTo: ['audit'],
  });
  expect(billing?.runbook).toBe('https://wiki.test/x?p=1#a');
  expect(Object.keys(audit ?? {})).not.toContain('resolutions');
  expect(Object.keys(audit ?? {})).not.toContain('runbook');
});

test('two persons have an hour unless it is said, and config explain says for what', () => {
  const config = taken(two('resolutions: { twoPersons: { for: [edit, discard], lettersAbove: 100 } }'));
  expect(config.destinations[0]?.resolutions?.twoPersons).toEqual({
    for: ['edit', 'discard'],
    lettersAbove: 100,
    withinMs: 3_600_000,
  });
  expect(explainConfig(config, environment).text.replace(/\s+/g, ' ')).toContain(
    'two persons for edit, discard, more than 100 letters within 1 h',
  );
  const [billing] = taken(two('resolutions: { twoPersons: { lettersAbove: 1, within: 15m } }')).destinations;
  expect(billing?.resolutions?.twoPersons).toEqual({ for: [], lettersAbove: 1, withinMs: 900_000 });
});

test('config explain says who may do what', () => {
  const { text } = explainConfig(
    taken(
      two('resolutions: { edit: cli, discard: nobody, redirectTo: [audit] }', 'runbook: https://wiki.test/x'),
    ),
    environment,
  );
  const said = text.replace(/\s+/g, ' ');
  expect(said).toContain(
    'resolutions retry by anyone, edit by command line, dashboard or SQL, redirect to audit by anyone, discard by nobody',
  );
  expect(said).toContain('runbook https://wiki.test/x');
});

const at = 'destinations.billing.resolutions';
const rows: Row[] = [
  [
    'a word of its own',
    two('resolutions: { edit: ops }'),
    invalid,
    5,
    `${at}.edit`,
    'anyone or cli or nobody',
  ],
  ['an unknown way', two('resolutions: { erase: cli }'), invalid, 5, `${at}.erase`, 'retry'],
  ['nowhere', two('resolutions: { redirectTo: [] }'), invalid, 5, `${at}.redirectTo`, 'a list of 1 to 1000'],
  [
    'a destination that is none',
    two('resolutions: { redirectTo: [audt] }'),
    ...[invalid, 5, `${at}.redirectTo[0]`, 'did you mean audit?'],
  ] as unknown as Row,
  [
    'itself',
    two('resolutions: { redirectTo: [billing] }'),
    ...[invalid, 5, `${at}.redirectTo[0]`, 'another destination of this file'],
  ] as unknown as Row,
  [
    'a list beside nobody',
    two('resolutions: { redirect: nobody, redirectTo: [audit] }'),
    ...[invalid, 5, `${at}.redirectTo`, 'has no effect with redirect: nobody'],
  ] as unknown as Row,
  [
    'two persons for nothing',
    two('resolutions: { twoPersons: { within: 1h } }'),
    ...[invalid, 5, `${at}.twoPersons`, 'expected for, lettersAbove or both'],
  ] as unknown as Row,
  [
    'two persons for an action that is none',
    two('resolutions: { twoPersons: { for: [erase] } }'),
    ...[invalid, 5, `${at}.twoPersons.for[0]`, 'retry or edit or redirect or discard'],
  ] as unknown as Row,
  [
    'two persons for ever',
    two('resolutions: { twoPersons: { for: [edit], within: 8d } }'),
    ...[invalid, 5, `${at}.twoPersons.within`, '7d'],
  ] as unknown as Row,
  [
    'a runbook that is a script',
    two("runbook: 'javascript:alert(1)'"),
    invalid,
    5,
    'destinations.billing.runbook',
    'http://',
  ],
  [
    'a runbook with a login',
    two('runbook: https://a:b@wiki.test/'),
    invalid,
    5,
    'destinations.billing.runbook',
    'without credentials',
  ],
];
describeRefusals('resolutions', rows);
