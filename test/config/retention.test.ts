import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { environment, withLines } from './fixtures.ts';
import { describeRefusals, invalid, type Row } from './refusals.ts';

const day = 86_400_000;

function retentionOf(text: string) {
  return parseConfig(`${withLines()}${text}`, { env: environment });
}

it('has a default for every kind', () => {
  expect(retentionOf('').config.retention).toEqual({
    eventsMs: 7 * day,
    deliveredMs: 7 * day,
    attemptsMs: 7 * day,
    deadLettersMs: 90 * day,
    auditMs: 365 * day,
    dedupKeysMs: 90 * day,
  });
});

it('takes durations from a day on, and 0 for what was delivered', () => {
  expect(retentionOf('retention: { events: 36h, delivered: 0 }\n').config.retention).toMatchObject({
    eventsMs: 1.5 * day,
    deliveredMs: 0,
    attemptsMs: 7 * day,
  });
});

it('warns where events go before the longest retry policy is through', () => {
  expect(retentionOf('retention: { events: 2d }\n').warnings).toMatchObject([
    {
      key: 'retention.events',
      message: expect.stringContaining('scheduleToCloseTimeout (3 d, of billing)') as string,
    },
  ]);
  expect(retentionOf('retention: { events: 3d }\n').warnings).toEqual([]);
});

const at = (line: string): string => `${withLines()}retention: { ${line} }\n`;

const refused: readonly Row[] = [
  ['less than a day', at('events: 23h'), invalid, 7, 'retention.events', 'from 1d to 3650d'],
  ['no unit', at('events: 7'), invalid, 7, 'retention.events', 'expected a duration such as'],
  ['zero for events', at('events: 0s'), invalid, 7, 'retention.events', 'from 1d'],
  [
    'less than a day of delivered',
    at('delivered: 1h'),
    invalid,
    7,
    'retention.delivered',
    'expected 0 or a duration',
  ],
  ['negative', at('deadLetters: -1d'), invalid, 7, 'retention.deadLetters', 'expected a duration'],
  ['a century', at('audit: 36500d'), invalid, 7, 'retention.audit', 'to 3650d'],
  ['an unknown kind', at('payloads: 7d'), invalid, 7, 'retention.payloads', 'unknown key'],
  [
    'events longer than dedup keys',
    at('events: 120d'),
    invalid,
    7,
    'retention.events',
    'expected dedupKeys (90d',
  ],
  [
    'dedup keys shorter than events',
    at('dedupKeys: 3d'),
    invalid,
    7,
    'retention.dedupKeys',
    'to be at least events (7d',
  ],
];
describeRefusals('retention', refused);
