/**
 * The OpenTelemetry API, where something in this process set it up. Whoever runs the process registers an SDK; we load no more than the API,
 * and that not before there is somebody to tell.
 */
import { createRequire } from 'node:module';
import type * as Api from '@opentelemetry/api';
import type { Context, SpanContext } from '@opentelemetry/api';
import { openTelemetryRegistry, traceContext } from '../core/traceContext.ts';

export type OpenTelemetry = typeof Api;

/** What spans and instruments say they come from. */
export const scope = 'temporal-outbox';

type Registry = Readonly<
  Record<symbol, { readonly trace?: unknown; readonly metrics?: unknown } | undefined>
>;

let loaded: OpenTelemetry | null | undefined;

/** As the semantic conventions spell the types of destinations and consumers; over HTTP there is no broker but ours. */
export function messagingSystem(type: string): string {
  return type === 'http' ? 'temporal_outbox' : type === 'sqs' ? 'aws_sqs' : type;
}

/** Null where nobody registered a provider of `what`: then this is two reads of a property. */
export function openTelemetry(what: 'trace' | 'metrics'): OpenTelemetry | null {
  if ((globalThis as unknown as Registry)[openTelemetryRegistry]?.[what] === undefined) return null;
  if (loaded === undefined) loaded = load();
  return loaded;
}

/** Whoever registered has it installed. Not so in a process that was bundled into one file: there nothing is traced. */
function load(): OpenTelemetry | null {
  try {
    // Not an import: who makes a receiver at the top of a module awaits nothing, and bundlers leave it alone.
    const fromHere = createRequire(import.meta.url);
    return fromHere('@opentelemetry/api') as OpenTelemetry;
  } catch {
    return null;
  }
}

/** What a tracer's code answers; undefined where it throws: that is no reason to lose, keep or refuse anything. */
export function tryTo<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** The span that headers continue; undefined where they name none. */
export function remoteSpan(
  api: OpenTelemetry,
  headers: Readonly<Record<string, unknown>>,
): SpanContext | undefined {
  const [parent, state] = traceContext(headers);
  const [, traceId, spanId, flags] = parent?.[1].split('-') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const known = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return state === undefined ? known : { ...known, traceState: api.createTraceState(state[1]) };
}

/** A context of this span alone: what is active here is another event's, or nobody's. */
export function under(api: OpenTelemetry, parent: SpanContext | undefined): Context {
  return parent === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, parent);
}
