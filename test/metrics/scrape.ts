/** /metrics as Prometheus would read it. */
import { expect } from 'vitest';

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Scrape {
  readonly text: string;
  readonly series: readonly Series[];
  /** Of the one series with these labels; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export async function scrape(endpoint: string | undefined): Promise<Scrape> {
  const response = await fetch(`${endpoint}/metrics`);
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  const text = await response.text();
  const series = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(readLine);
  return {
    text,
    series,
    value: (name, labels = {}) =>
      series.find(
        (each) =>
          each.name === name && Object.entries(labels).every(([label, text]) => each.labels[label] === text),
      )?.value,
  };
}

function readLine(line: string): Series {
  const match = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`not a line of the text format: ${line}`);
  const [, name = '', labels = '', value] = match;
  const pairs = [...labels.matchAll(/([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g)];
  expect(pairs.map(([pair]) => pair).join(''), line).toBe(labels);
  return {
    name,
    labels: Object.fromEntries(pairs.map(([, label = '', text = '']) => [label, text])),
    value: Number(value),
  };
}
