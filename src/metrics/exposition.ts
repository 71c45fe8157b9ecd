/** The text format that Prometheus reads, version 0.0.4. */
import type { Distribution } from './distribution.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Family {
  /** `outbox_…`, with its unit; counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Labels;
  readonly value: number | Distribution;
}

/** Families without a sample are left out: an absent series says "not known", a zero would say otherwise. */
export function expose(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(exposeFamily)
    .join('\n');
}

function exposeFamily({ name, help, type, samples }: Family): string {
  const lines = samples.flatMap(({ labels = {}, value }) =>
    typeof value === 'number' ? [line(name, labels, value)] : exposeDistribution(name, labels, value),
  );
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('\n')}\n`;
}

function exposeDistribution(name: string, labels: Labels, distribution: Distribution): string[] {
  let cumulative = 0;
  const buckets = distribution.counts.map((count, index) => {
    cumulative += count;
    const le = index < distribution.bounds.length ? String(distribution.bounds[index]) : '+Inf';
    return line(`${name}_bucket`, { ...labels, le }, cumulative);
  });
  return [
    ...buckets,
    line(`${name}_sum`, labels, distribution.sum),
    line(`${name}_count`, labels, distribution.count),
  ];
}

function line(name: string, labels: Labels, value: number): string {
  const inner = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${inner.length === 0 ? '' : `{${inner.join(',')}}`} ${value}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function escapeHelp(text: string): string {
  return text.replace(/[\\\n]/g, (character) => (character === '\n' ? '\\n' : '\\\\'));
}
