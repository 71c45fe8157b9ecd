import {
  openTelemetryRegistry,
  traceHeadersOf,
  type TracedSpan,
  type TraceHeaders,
} from '../core/traceContext.ts';

/**
 * The trace context of the span that is active in OpenTelemetry, as headers; undefined where there is none. `@opentelemetry/api` is not loaded: every version
 * of it that is in the process, one or several, shares one registry, and nothing is there without it.
 */
export function activeTraceHeaders(): TraceHeaders | undefined {
  try {
    const api = (globalThis as unknown as Record<symbol, Registry | undefined>)[openTelemetryRegistry];
    const span = api?.context?.active().getValue(spanName) as { spanContext(): TracedSpan } | undefined;
    return span === undefined ? undefined : traceHeadersOf(span.spanContext());
  } catch {
    return undefined; // a tracer's fault is no reason to lose an event
  }
}

const spanName = Symbol.for('OpenTelemetry Context Key SPAN');

interface Registry {
  readonly context?: { active(): { getValue(key: symbol): unknown } };
}
