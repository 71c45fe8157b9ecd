/**
 * The trace context of the span that is active in OpenTelemetry, as headers; undefined where there is none. `@opentelemetry/api` is not loaded: every version
 * of it that is in the process, one or several, shares one registry under a name that it promises to keep, and nothing is there without it.
 */
export function activeTraceHeaders(): Readonly<Record<string, string>> | undefined {
  try {
    const api = (globalThis as unknown as Record<symbol, Registry | undefined>)[registryName];
    const span = api?.context?.active().getValue(spanName) as Span | undefined;
    const { traceId = '', spanId = '', traceFlags = 0, traceState } = span?.spanContext() ?? {};
    if (!isId(traceId, 32) || !isId(spanId, 16)) return undefined;
    const flags = (traceFlags & 0xff).toString(16).padStart(2, '0');
    const state = traceState?.serialize() ?? '';
    return {
      traceparent: `00-${traceId}-${spanId}-${flags}`,
      ...(state === '' ? {} : { tracestate: state }),
    };
  } catch {
    return undefined; // a tracer's fault is no reason to lose an event
  }
}

const registryName = Symbol.for('opentelemetry.js.api.1');
const spanName = Symbol.for('OpenTelemetry Context Key SPAN');

interface Registry {
  readonly context?: { active(): { getValue(key: symbol): unknown } };
}

interface Span {
  spanContext(): {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceFlags: number;
    readonly traceState?: { serialize(): string };
  };
}

function isId(text: string, length: number): boolean {
  return text.length === length && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
}
