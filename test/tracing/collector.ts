/** Where services send OTLP: a real OpenTelemetry Collector where one was built (test/support/collector/build), else what takes its place. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../src/embedded/ports.ts';
import { brokerDirectory, launchBroker } from '../support/brokers/process.ts';
import { everything } from '../support/everything.ts';
import { atEnd } from '../support/index.ts';

export interface TestCollector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Of all services, as far as they came. */
  readonly spans: () => Promise<readonly CollectedSpan[]>;
  /** The latest value of every series, under `name{label="value",…}`. */
  readonly figures: () => Promise<ReadonlyMap<string, number>>;
}

export interface CollectedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly kind: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly error: string | null;
}

/** Stopped with the test. */
export async function startCollector(): Promise<TestCollector> {
  const built = join(import.meta.dirname, '..', '..', '.outbox', 'collector', 'otelcol');
  const { url, traces, metrics } =
    everything || existsSync(built) ? await launchCollector(built) : await standIn();
  return {
    url,
    spans: async () => (await traces()).flatMap(spansOf),
    figures: async () => new Map((await metrics()).flatMap(figuresOf)),
  };
}

interface Collected {
  readonly url: string;
  readonly traces: () => Promise<readonly Traces[]>;
  readonly metrics: () => Promise<readonly Metrics[]>;
}

async function launchCollector(command: string): Promise<Collected> {
  const directory = await brokerDirectory('collector');
  const port = await freePort();
  const [spansFile, figuresFile] = [join(directory, 'spans.json'), join(directory, 'figures.json')];
  const config = join(directory, 'config.yaml');
  await writeFile(config, configOf(port, spansFile, figuresFile));
  const url = `http://127.0.0.1:${port}`;
  const collector = await launchBroker({
    ...{ directory, port, command, args: ['--config', `file:${config}`] },
    ready: () => fetch(url),
  });
  atEnd(() => collector.stop());
  return { url, traces: () => linesOf(spansFile), metrics: () => linesOf(figuresFile) };
}

const configOf = (port: number, spans: string, figures: string): string => `
receivers: { otlp: { protocols: { http: { endpoint: '127.0.0.1:${port}' } } } }
exporters:
  file/spans: { path: '${spans}', flush_interval: 100ms }
  file/figures: { path: '${figures}', flush_interval: 100ms }
service:
  pipelines:
    traces: { receivers: [otlp], exporters: [file/spans] }
    metrics: { receivers: [otlp], exporters: [file/figures] }
`;

/** The last one may still be on its way. */
async function linesOf<Line>(file: string): Promise<Line[]> {
  const text = await readFile(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

/** Takes OTLP as JSON and keeps it: where no collector was built. */
async function standIn(): Promise<Collected> {
  const kept: Record<string, unknown[]> = { '/v1/traces': [], '/v1/metrics': [] };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (some: Buffer) => chunks.push(some));
    request.on('end', () => {
      kept[request.url ?? '']?.push(JSON.parse(Buffer.concat(chunks).toString()));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    traces: () => Promise.resolve(kept['/v1/traces'] as Traces[]),
    metrics: () => Promise.resolve(kept['/v1/metrics'] as Metrics[]),
  };
}

interface KeyValue {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: string;
    readonly doubleValue?: number;
  };
}

interface Traces {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes?: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
  readonly attributes?: readonly KeyValue[];
  readonly links?: CollectedSpan['links'];
  readonly status?: { readonly code?: number; readonly message?: string };
}

const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

function spansOf({ resourceSpans }: Traces): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, traceId, spanId, parentSpanId = '', kind, attributes, links = [], status }) => ({
        ...{ service, name, traceId, spanId, parentSpanId },
        kind: kinds[kind] ?? '',
        attributes: valuesOf(attributes),
        links: links.map((link) => ({ traceId: link.traceId, spanId: link.spanId })),
        error: status?.code === 2 ? (status.message ?? '') : null,
      })),
    );
  });
}

function valuesOf(attributes: readonly KeyValue[] = []): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.doubleValue ?? Number(value.intValue ?? NaN),
    ]),
  );
}

interface Metrics {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly { readonly metrics: readonly OtlpMetric[] }[];
  }[];
}

interface OtlpMetric {
  readonly name: string;
  readonly sum?: Points;
  readonly gauge?: Points;
}

interface Points {
  readonly dataPoints: readonly {
    readonly attributes?: readonly KeyValue[];
    readonly asDouble?: number;
    readonly asInt?: string;
  }[];
}

function figuresOf({ resourceMetrics }: Metrics): [string, number][] {
  const found = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  return found.flatMap(({ name, sum, gauge }) =>
    ((sum ?? gauge)?.dataPoints ?? []).map(({ attributes, asDouble, asInt }): [string, number] => {
      const labels = Object.entries(valuesOf(attributes)).map(([label, text]) => `${label}="${text}"`);
      return [`${name}{${labels.join(',')}}`, asDouble ?? Number(asInt)];
    }),
  );
}
