/** Short ways to write a family. */
import type { Family, Sample } from './exposition.ts';

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'gauge', samples };
}

export function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: 'counter', samples };
}

export function histogram(name: string, help: string, value: Sample['value']): Family {
  return { name, help, type: 'histogram', samples: [{ value }] };
}

export function one(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ value }];
}

export function flag(value: boolean | undefined): Sample[] {
  return one(value === undefined ? undefined : Number(value));
}
