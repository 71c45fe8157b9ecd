/** The table of keys says what src/config does: every key, its default, and the timetable as it is printed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explainConfig } from '../../src/config/explain.ts';
import { configJsonSchema } from '../../src/config/jsonSchema.ts';
import { defaults } from '../../src/settings/limits.ts';
import { httpDefaults } from '../../src/destination/http/limits.ts';
import { parseConfig } from '../../src/config/load.ts';
import { formatDuration } from '../../src/core/duration.ts';
import { repository } from './pages.ts';

const page = await readFile(join(repository, 'docs', 'configuration.md'), 'utf8');
const section = /^## Keys\n([\s\S]*?)^## /m.exec(page)?.[1] ?? '';
const rows = [...section.matchAll(/^\| \**`([^`]+)`\** \| (.*?) \|/gm)].map(
  ([, key = '', value = '']) => [key, value.replaceAll('`', '')] as const,
);

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly oneOf?: readonly Schema[];
  readonly const?: unknown;
  readonly items?: Schema;
}

/** The keys that take a value, with a dot between levels: `retry.jitter`. */
function leaves(schema: Schema, prefix = ''): string[] {
  const { properties } = schema;
  if (properties === undefined) return [prefix];
  return Object.entries(properties).flatMap(([key, each]) =>
    leaves(each, prefix === '' ? key : `${prefix}.${key}`),
  );
}

test('every key of outbox.yaml has its row, and no other has', () => {
  const { properties = {} } = configJsonSchema() as Schema;
  const types = (properties['destinations']?.additionalProperties as Schema).oneOf ?? [];
  const destination = types.find((each) => each.properties?.['type']?.const === 'http') as Schema;
  const route = properties['routes']?.items as Schema;
  const retention = properties['retention'] as Schema;
  const producer = properties['producers']?.additionalProperties as Schema;
  const api = properties['api'] as Schema;
  const groups = [
    'destinations.<name>.',
    'routes[].',
    'retention.',
    'producers.<name>.',
    'api.',
    'dashboard.',
    'alerts.',
    'events.<type>.',
    'encryption.',
  ];
  const alerts = properties['alerts'] as Schema;
  const written = rows.map(([key]) => key).filter((key) => !groups.includes(key));
  const metrics = properties['metrics'] as Schema;
  const keys = written.filter((key) => !key.endsWith('.*')).toSorted();
  // `checkBack.tls.*`: all keys of a section that has its rows elsewhere.
  const sections = written.filter((key) => key.endsWith('.*')).map((key) => key.slice(0, -1));
  const isCovered = (key: string): boolean => sections.some((prefix) => key.startsWith(prefix));
  expect(keys).toEqual(
    [
      'name',
      ...leaves(metrics, 'metrics'),
      ...leaves(properties['encryption'] as Schema, 'encryption'),
      ...leaves(destination),
      ...leaves(route),
      ...leaves(retention),
      ...leaves(producer),
      ...leaves(api),
      ...leaves(properties['dashboard'] as Schema, 'dashboard'),
      ...leaves(alerts),
      ...leaves(properties['events']?.additionalProperties as Schema),
    ]
      .filter((key) => !isCovered(key))
      .toSorted(),
  );
});

function spokenRetention(): Record<string, string> {
  const entries = Object.entries(defaults.retention);
  return Object.fromEntries(entries.map(([key, ms]) => [key.replace(/Ms$/, ''), formatDuration(ms)]));
}

test('the defaults are those of the code', () => {
  const { retry } = defaults;
  const written = Object.fromEntries(rows);
  expect(written).toMatchObject({
    method: httpDefaults.method,
    timeout: formatDuration(defaults.timeoutMs),
    'retry.initialInterval': formatDuration(retry.initialIntervalMs),
    'retry.backoffCoefficient': String(retry.backoffCoefficient),
    'retry.maximumInterval': formatDuration(retry.maximumIntervalMs),
    'retry.maximumAttempts': String(retry.maximumAttempts),
    'retry.jitter': String(retry.jitter),
    'retry.retryAfter.honor': String(retry.retryAfter.honor),
    'retry.retryAfter.maximum': formatDuration(retry.retryAfter.maximumMs),
    'retry.nonRetryableStatusCodes': httpDefaults.retry.nonRetryableStatusCodes.join(', '),
    'idempotencyKey.quoted': String(httpDefaults.idempotencyKey.quoted),
    cloudEvents: httpDefaults.cloudEvents,
    ordering: defaults.ordering,
    onPark: defaults.onPark,
    concurrency: String(defaults.concurrency),
    'batch.maximum': String(defaults.batch.maximum),
    'batch.inFlight': String(defaults.batch.inFlight),
    'batch.splitUpTo': String(defaults.batch.splitUpTo),
    'circuit.enabled': String(defaults.circuit.enabled),
    'circuit.failureRate': String(defaults.circuit.failureRate),
    'circuit.minimumRequests': String(defaults.circuit.minimumRequests),
    'circuit.window': formatDuration(defaults.circuit.windowMs),
    'circuit.unreachableInARow': String(defaults.circuit.unreachableInARow),
    'circuit.probeAfter': formatDuration(defaults.circuit.probeAfterMs),
    'circuit.maximumProbeInterval': formatDuration(defaults.circuit.maximumProbeIntervalMs),
    'network.allowPrivate': String(httpDefaults.network.allowPrivate),
    responseExcerpt: String(httpDefaults.responseExcerpt),
    ...spokenRetention(),
    'checkBack.timeout': formatDuration(defaults.checkBack.timeoutMs),
    'checkBack.grace': formatDuration(defaults.checkBack.graceMs),
    'checkBack.schedule': '14 delays, 10s to 2h',
    listen: defaults.api.listen,
  });
  const delays = defaults.checkBack.scheduleMs;
  expect([delays.length, delays[0], Math.max(...delays)]).toEqual([14, 10_000, 2 * 3_600_000]);
  expect(written['retry.scheduleToCloseTimeout']).toBe('72h');
  expect(retry.scheduleToCloseTimeoutMs).toBe(72 * 3_600_000);
});

test('the timetable of the default policy is what config explain prints', () => {
  const { config } = parseConfig('{destinations: {billing: {type: http, url: "http://billing.test/"}}}');
  const printed = explainConfig(config).text;
  const timetable = printed.slice(printed.indexOf('  attempts '), printed.indexOf('  parks at once'));
  expect(section).toContain(timetable);
});

test('each promise names the tests that show it', async () => {
  const promised = await readFile(join(repository, 'docs', 'promises.md'), 'utf8');
  const promises = /<!-- promises -->([\s\S]*?)<!-- \/promises -->/.exec(promised)?.[1] ?? '';
  const stated = promises.split('\n').filter((line) => line.startsWith('| ') && !line.includes('shown by'));
  expect(stated.length).toBeGreaterThan(10);
  expect(stated.filter((line) => !/\]\(\.\.\/test\/[\w/]+\.test\.ts\)/.test(line))).toEqual([]);
});
