/**
 * What so many events a second need and cost, from what was measured on one machine (measured.json, made by `npm run bench -- cost`) and
 * from Temporal Cloud's public prices. The tables of docs/scaling.md are its output: `npm run bench -- plan`; a test holds them to it.
 */
import { readFileSync } from 'node:fs';

const measured = JSON.parse(readFileSync(new URL('measured.json', import.meta.url), 'utf8'));

/** https://docs.temporal.io/cloud/pricing, pay as you go, US dollars. */
const prices = {
  readOn: '2026-11-30',
  developer: { perMillion: 50, share: 0.1 },
  business: {
    least: 500,
    share: 0.1,
    includedActions: 2.5e6,
    // Up to so many actions a month, so much a million; beyond the last one asks.
    tiers: [
      [5e6, 50],
      [10e6, 45],
      [20e6, 40],
      [50e6, 35],
      [100e6, 30],
      [200e6, 25],
    ],
  },
  retainedGBh: 0.00105,
};
const secondsAMonth = 30.4 * 86_400;
const hoursRetained = 72;
const rates = [1, 10, 100, 1_000, 10_000];

/** The measured row for a rate; above the highest a batch fills no sooner, so its actions stay those of a second. */
function at(rate) {
  const row = measured.rates.find((each) => each['events/s'] === rate);
  if (row !== undefined) return row;
  const highest = measured.rates.at(-1);
  const factor = highest['events/s'] / rate;
  return {
    ...highest,
    'billed actions': highest['billed actions'] * factor,
    'history bytes': highest['history bytes'] * factor,
  };
}

function actionsAMonth(rate) {
  return at(rate)['billed actions'] * rate * secondsAMonth;
}

/** Dollars a month by plan; null where Temporal names no price. */
export function priceOf(actions, storage) {
  const { developer, business } = prices;
  const usage = (actions / 1e6) * developer.perMillion + storage;
  const beyond = Math.max(0, actions - business.includedActions);
  let [below, spent] = [0, 0];
  for (const [upTo, perMillion] of business.tiers) {
    spent += (Math.max(0, Math.min(beyond, upTo) - below) / 1e6) * perMillion;
    below = upTo;
  }
  const used = spent + storage;
  return {
    developer: usage * (1 + developer.share),
    business: beyond > below ? null : used + Math.max(business.least, used * business.share),
  };
}

function storagePrice(rate) {
  const gigabytes = (at(rate)['history bytes'] * rate * hoursRetained * 3_600) / 1e9;
  return gigabytes * (secondsAMonth / 3_600) * prices.retainedGBh;
}

export function cloudTable() {
  const rows = rates.map((rate) => {
    const actions = actionsAMonth(rate);
    const { developer, business } = priceOf(actions, storagePrice(rate));
    return [
      number(rate),
      short(rate * secondsAMonth),
      at(rate)['billed actions'].toPrecision(2),
      short(actions),
      dollars(developer),
      dollars(business),
      dollars(priceOf(2 * rate * secondsAMonth, 0).business),
    ];
  });
  const head = [
    'events/s',
    'events a month',
    'actions an event',
    'actions a month',
    'Developer',
    'Business',
    'Business, with a workflow an event',
  ];
  return table(head, rows);
}

/** CPU seconds, WAL and what is kept, for a million events by the rate at which they come. */
export function machineTable() {
  const rows = measured.rates.map((row) => [
    number(row['events/s']),
    number(row['µs of run']),
    number(row['µs of PostgreSQL']),
    number(row['µs of Temporal']),
    ((row['events/s'] * (row['µs of run'] + row['µs of PostgreSQL'] + row['µs of Temporal'])) / 1e6).toFixed(
      2,
    ),
    `${(row['WAL bytes'] / 1_000).toFixed(1)} GB`,
    `${(row['bytes kept'] / 1_000).toFixed(1)} GB`,
    row['dead rows'].toFixed(1),
  ]);
  const head = [
    'events/s',
    'CPU s of `run`',
    'of PostgreSQL',
    'of Temporal',
    'cores in all',
    'WAL',
    'kept',
    'dead rows an event',
  ];
  return table(head, rows);
}

function table(head, rows) {
  return [head, head.map(() => '---:'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function number(value) {
  return Math.round(value).toLocaleString('en-US');
}

function short(value) {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  return value >= 1e6 ? `${(value / 1e6).toPrecision(3)} M` : `${(value / 1e3).toPrecision(3)} k`;
}

function dollars(value) {
  if (value === null) return 'ask them';
  return `$${value < 10 ? value.toFixed(2) : number(value)}`;
}
