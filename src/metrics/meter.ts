/** The figures of /metrics through OpenTelemetry's meter, under the same names and labels: read when its SDK collects. */
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import { openTelemetry, scope } from '../tracing/openTelemetry.ts';
import type { Family, Labels, Sample } from './exposition.ts';

export interface Metered {
  stop(): void;
}

/** Undefined where nobody registered a provider of meters. */
export function meterFamilies(read: () => Promise<readonly Family[]>): Metered | undefined {
  const meter = openTelemetry('metrics')?.metrics.getMeter(scope);
  if (meter === undefined) return undefined;
  const observing = new Observing(meter, async () => (await read()).flatMap(partsOf));
  void observing.prepare();
  return observing;
}

class Observing implements Metered {
  readonly #meter: Meter;
  readonly #read: () => Promise<Family[]>;
  readonly #instruments = new Map<string, Observable>();
  #registered: Observable[] = [];
  #isStopped = false;

  constructor(meter: Meter, read: () => Promise<Family[]>) {
    this.#meter = meter;
    this.#read = read;
  }

  /** Makes the instruments of what there is, so that the first collection finds them. A database that is away is asked again then. */
  async prepare(): Promise<void> {
    this.#admit(await this.#read().catch(() => []));
  }

  stop(): void {
    this.#isStopped = true;
    this.#meter.removeBatchObservableCallback(this.#observe, this.#registered);
  }

  readonly #observe = async (result: BatchObservableResult): Promise<void> => {
    const families = await this.#read();
    this.#admit(families);
    for (const { name, samples } of families) {
      const instrument = this.#instruments.get(name);
      if (instrument === undefined) continue;
      for (const { labels, value } of samples)
        if (typeof value === 'number') result.observe(instrument, value, labels);
    }
  };

  /** A callback is told of its instruments once: new ones make it another registration. */
  #admit(families: readonly Family[]): void {
    const fresh = families.filter(({ name }) => !this.#instruments.has(name));
    if (this.#isStopped || (fresh.length === 0 && this.#registered.length > 0)) return;
    for (const family of fresh) this.#instruments.set(family.name, this.#make(family));
    this.#meter.removeBatchObservableCallback(this.#observe, this.#registered);
    this.#registered = [...this.#instruments.values()];
    this.#meter.addBatchObservableCallback(this.#observe, this.#registered);
  }

  #make({ name, help, type }: Family): Observable {
    const options = { description: help };
    return type === 'counter'
      ? this.#meter.createObservableCounter(name, options)
      : this.#meter.createObservableGauge(name, options);
  }
}

/** The API has no histogram that is observed: its buckets, sum and count come as gauges, whose names no exporter changes. */
function partsOf(family: Family): Family[] {
  if (family.type !== 'histogram') return [family];
  const part = (suffix: string, samplesOf: (labels: Labels, value: Sample['value']) => Sample[]): Family => ({
    name: `${family.name}_${suffix}`,
    help: family.help,
    type: 'gauge',
    samples: family.samples.flatMap(({ labels = {}, value }) => samplesOf(labels, value)),
  });
  return [
    part('bucket', bucketsOf),
    part('sum', (labels, value) => (typeof value === 'number' ? [] : [{ labels, value: value.sum }])),
    part('count', (labels, value) => (typeof value === 'number' ? [] : [{ labels, value: value.count }])),
  ];
}

function bucketsOf(labels: Labels, value: Sample['value']): Sample[] {
  if (typeof value === 'number') return [];
  let cumulative = 0;
  return value.counts.map((count, index) => {
    cumulative += count;
    const le = index < value.bounds.length ? String(value.bounds[index]) : '+Inf';
    return { labels: { ...labels, le }, value: cumulative };
  });
}
