/** docs/alerts.yml, docs/grafana.json and docs/metrics.md speak of series that exist, and of sections that exist; the alerts fire. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseListen } from '../../src/core/listen.ts';
import { enqueue } from '../../src/produce/enqueue.ts';
import {
  applyTestConfig,
  atEnd,
  createTestDatabase,
  eventually,
  requires,
  startReceiver,
  startRun,
} from '../support/index.ts';
import { scrape, type Scrape } from './scrape.ts';
import { onlyWithEverything } from '../support/everything.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

const docs = join(import.meta.dirname, '..', '..', 'docs');
const rulesFile = join(docs, 'alerts.yml');
const { groups } = parse(await readFile(rulesFile, 'utf8')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

let scraped: Scrape;

beforeAll(async () => {
  const database = await createTestDatabase();
  const receiver = await startReceiver({ answer: 422 });
  await applyTestConfig(
    database,
    `
    destinations: { billing: { type: http, url: '${receiver.url}' } }
    routes: [{ match: 'order.*', to: [billing] }]
    producers: { shop: { checkBack: { url: '${receiver.url}' } } }`,
  );
  await enqueue(
    database.pool,
    [
      { type: 'order.a', payload: 1 },
      { type: 'log.x', payload: 1 },
    ],
    { ownTransaction: true },
  );
  // A worker elsewhere that lacks a secret, seen for as long as this takes.
  await database.pool.query(
    `insert into outbox.workers (id, label, seen_at, lacking) values (outbox.uuid7(), 'elsewhere', now() + interval '1 hour', $1)`,
    [
      JSON.stringify({
        destinations: { billing: { problem: 'BILLING_SECRET is not set', goesOn: false } },
        producers: {},
      }),
    ],
  );
  const listen = parseListen('127.0.0.1:0');
  const running = await startRun({ databaseUrl: database.url, metricsListen: listen, apiListen: listen });
  await fetch(`${running.endpoints['api']}/v1/openapi.json`);
  await eventually(
    async () => {
      scraped = await scrape(running.endpoints['metrics']);
      expect(scraped.value('outbox_deliveries', { state: 'parked' })).toBe(1);
      expect(scraped.value('outbox_unrouted_events')).toBe(1);
    },
    { timeout: 60_000, interval: 500 },
  );
});

/** Names of series in an expression, with the labels that it asks them for. */
function askedBy(expr: string): { name: string; labels: [string, string][] }[] {
  return [...expr.matchAll(/\b((?:outbox|nodejs|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', inner = '']) => ({
      name,
      labels: [...inner.matchAll(/([a-z_]+)=~?"([^"]*)"/g)].map(([, label = '', text = '']) => [label, text]),
    }),
  );
}

function groupings(expr: string): string[] {
  return [...expr.matchAll(/\b(?:by|without|on) ?\(([^)]*)\)/g)].flatMap(([, names = '']) =>
    names.split(/, ?/),
  );
}

/** What Prometheus adds by itself, what a dashboard fills in, and the bounds of buckets. */
const given = new Set(['instance', 'job', 'le']);

function problemsOf(expr: string): string[] {
  const asked = askedBy(expr);
  if (asked.length === 0) return [`${expr}: asks for no series`];
  const missing = asked.flatMap(({ name, labels }) => {
    const series = scraped.series.filter((each) => each.name === name);
    if (series.length === 0) return [`no series ${name}`];
    return labels
      .filter(([, text]) => !text.startsWith('$'))
      .filter(([label, text]) => !series.some((each) => each.labels[label] === text))
      .map(([label, text]) => `no ${name} with ${label}="${text}"`);
  });
  const unknown = groupings(expr)
    .filter((label) => !given.has(label))
    .filter((label) =>
      asked.some(({ name }) => !scraped.series.some((each) => each.name === name && label in each.labels)),
    )
    .map((label) => `${label} is a label of none of them: ${expr}`);
  return [...missing, ...unknown];
}

test('every alert asks for series and labels that a real scrape has', () => {
  expect(rules.length).toBeGreaterThan(10);
  expect(rules.flatMap(({ expr }) => problemsOf(expr))).toEqual([]);
});

test('a series, a value or a label that does not exist would be noticed', () => {
  expect(problemsOf('max(outbox_lags_seconds) > 1')).toEqual(['no series outbox_lags_seconds']);
  expect(problemsOf('outbox_deliveries{state="lost"} > 1')).toEqual([
    'no outbox_deliveries with state="lost"',
  ]);
  expect(problemsOf('max by (target) (outbox_lag_seconds) > 1')).toHaveLength(1);
});

test('every alert links to its section of the runbook, which names it', async () => {
  const runbook = await readFile(join(docs, 'runbook.md'), 'utf8');
  const sections = new Map(
    runbook
      .split(/^## /m)
      .slice(1)
      .map((text) => [anchorOf(text.split('\n', 1)[0] ?? ''), text]),
  );
  for (const { alert, annotations } of rules) {
    const [page, anchor = ''] = annotations.runbook_url.split('#');
    expect(page, alert).toBe('runbook.md');
    expect(sections.get(anchor) ?? '', `${alert} → #${anchor}`).toContain(`\`${alert}\``);
  }
  const named = [...runbook.matchAll(/`(Outbox[A-Z]\w+)`/g)].map(([, name = '']) => name);
  expect(named.filter((name) => !rules.some(({ alert }) => alert === name))).toEqual([]);
});

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

test('docs/metrics.md lists every metric with its labels, and no other', async () => {
  const page = await readFile(join(docs, 'metrics.md'), 'utf8');
  const table = /<!-- metrics -->([\s\S]*?)<!-- \/metrics -->/.exec(page)?.[1] ?? '';
  const listed = [...table.matchAll(/^\| `([a-z_]+)(?:\{([a-z_,]+)\})?` \|/gm)].map(
    ([, name = '', labels = '']) => `${name}{${labels}}`,
  );
  const ours = scraped.series
    .filter(({ name }) => name.startsWith('outbox_'))
    .map(({ name, labels }) => {
      const { le: _bucket, ...others } = labels;
      return `${name.replace(/_(bucket|sum|count)$/, '')}{${Object.keys(others).join(',')}}`;
    });
  // Nobody has resolved anything here, and nobody lacks anything.
  const absent = [
    'outbox_resolutions_total{action,outcome}',
    'outbox_workers_lacking{kind,name,problem,can}',
  ];
  expect(listed.toSorted()).toEqual([...new Set([...ours, ...absent])].toSorted());
});

test('the dashboard asks for series and labels that a real scrape has', async () => {
  const dashboard = JSON.parse(await readFile(join(docs, 'grafana.json'), 'utf8')) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(expressions.length).toBeGreaterThan(10);
  expect(expressions.flatMap(problemsOf)).toEqual([]);
});

test('Prometheus takes the rules', () => {
  const promtool = requires.program('promtool');
  expect(execFileSync(promtool, ['check', 'rules', rulesFile], { encoding: 'utf8' })).toContain(
    `SUCCESS: ${rules.length} rules found`,
  );
});

const seriesFile = join(import.meta.dirname, 'alerts.series.yml');

interface SeriesFile {
  readonly rule_files: readonly string[];
  readonly tests: readonly {
    readonly input_series: readonly { readonly series: string }[];
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: object[] }[];
  }[];
}

test('each alert fires for what it is for, and is silent otherwise, by the judgement of Prometheus', () => {
  const promtool = requires.program('promtool');
  const { status, stdout, stderr } = spawnSync(promtool, ['test', 'rules', seriesFile], { encoding: 'utf8' });
  expect(stdout + stderr).toContain('SUCCESS');
  expect(status).toBe(0);
});

test.for([
  ['never fired', (expr: string) => `(${expr}) == bool 2 == 1`],
  ['always fired', () => 'vector(1)'],
] as const)('an alert that %s would be noticed', async ([, exprOf], context) => {
  onlyWithEverything(context, 'a test of the test');
  const promtool = requires.program('promtool');
  const folder = await mkdtemp(join(tmpdir(), 'outbox-alerts-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const changed = rules.map(({ for: _for, ...rule }) => ({ ...rule, expr: exprOf(rule.expr) }));
  await writeFile(join(folder, 'alerts.yml'), stringify({ groups: [{ name: 'changed', rules: changed }] }));
  const series = parse(await readFile(seriesFile, 'utf8')) as SeriesFile;
  await writeFile(join(folder, 'series.yml'), stringify({ ...series, rule_files: ['alerts.yml'] }));
  const tested = spawnSync(promtool, ['test', 'rules', join(folder, 'series.yml')], { encoding: 'utf8' });
  expect(tested.status).toBe(1);
  const noticed = new Set([...tested.stderr.matchAll(/alertname: ?(\w+)/g)].map(([, name]) => name));
  expect(rules.map(({ alert }) => alert).filter((alert) => !noticed.has(alert))).toEqual([]);
});

/** Labels whose values are ours, not the user's. */
const enumerated = ['state', 'cause', 'outcome', 'held', 'table'];

test('the series that alerts are tried on have names and labels of a real scrape', async () => {
  const { tests } = parse(await readFile(seriesFile, 'utf8')) as SeriesFile;
  const tried = tests.flatMap(({ input_series }) => input_series.map(({ series }) => series));
  const problems = [...new Set(tried)].flatMap((text) => {
    const [asked] = askedBy(text);
    const labels = Object.fromEntries(asked?.labels ?? []);
    const { instance: _instance, ...own } = labels;
    const fits = scraped.series.some(
      (each) =>
        each.name === asked?.name &&
        Object.keys(each.labels).toSorted().join() === Object.keys(own).toSorted().join() &&
        enumerated.every((label) => each.labels[label] === own[label]),
    );
    return fits ? [] : [text];
  });
  expect(tried.length).toBeGreaterThan(30);
  expect(problems).toEqual([]);
});

test('Prometheus takes the text of a scrape', () => {
  const promtool = requires.program('promtool');
  const ours = scraped.text
    .split('\n')
    .filter((line) => /^(# \w+ )?outbox_/.test(line))
    .join('\n');
  // Says on stdout what it does not like, and ends with an error.
  expect(execFileSync(promtool, ['check', 'metrics'], { encoding: 'utf8', input: `${ours}\n` })).toBe('');
});
