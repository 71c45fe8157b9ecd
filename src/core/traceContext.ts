/** W3C Trace Context among the headers of an event: `traceparent` and `tracestate`. */

/** Under which every version of `@opentelemetry/api` in a process keeps what was registered with it; a name that it promises to keep. */
export const openTelemetryRegistry = Symbol.for('opentelemetry.js.api.1');

/** What is written of a span. */
export interface TracedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly traceState?: { serialize(): string } | undefined;
}

const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x20-\x7e]*)?$/;
const tracestateMember = /^(?:[a-z0-9][_0-9a-z\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256})?$/;

/** What of it is well-formed: a malformed traceparent is ignored, and tracestate with it. */
export function traceContext(headers: Readonly<Record<string, unknown>>): [string, string][] {
  const parent = headers['traceparent'];
  if (typeof parent !== 'string' || !isTraceparent(parent)) return [];
  const state = headers['tracestate'];
  return typeof state === 'string' && isTracestate(state)
    ? [
        ['traceparent', parent],
        ['tracestate', state],
      ]
    : [['traceparent', parent]];
}

/** The headers that continue a span's trace; undefined where its ids are none. */
export function traceHeadersOf({
  traceId,
  spanId,
  traceFlags,
  traceState,
}: TracedSpan): TraceHeaders | undefined {
  if (!isId(traceId, 32) || !isId(spanId, 16)) return undefined;
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0');
  const state = traceState?.serialize() ?? '';
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(state === '' ? {} : { tracestate: state }) };
}

export type TraceHeaders = Readonly<Record<string, string>>;

function isTraceparent(value: string): boolean {
  return traceparent.test(value) && (value.length === 55 || !value.startsWith('00'));
}

function isTracestate(value: string): boolean {
  const members = value.split(',');
  return members.length <= 32 && members.every((member) => tracestateMember.test(member.trim()));
}

function isId(text: string, length: number): boolean {
  return text.length === length && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
}
