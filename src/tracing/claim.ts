/** The span of a claim: what the relay takes up at once. A claim of many events has a trace of its own, which links to theirs. */
import type { Link, SpanContext } from '@opentelemetry/api';
import type { DeliveryRow } from '../storage/attempts.ts';
import { openTelemetry, remoteSpan, scope, tryTo, under, type OpenTelemetry } from './openTelemetry.ts';

/** What SDKs keep of a span by default; more would be dropped there. */
export const linksMost = 128;

const claims = new WeakMap<ClaimedRow, SpanContext>();

/** The claim that brought a row, for its attempt to link to; undefined where it is of the same trace. */
export function claimOf(row: ClaimedRow): SpanContext | undefined {
  return claims.get(row);
}

/** Of a delivery, or of one that only its headers are known of. */
type ClaimedRow = Pick<DeliveryRow, 'headers'>;

export interface Claim {
  readonly lane: string;
  /** `claim` by the relay, `load` where a worker of another process reads what was claimed, or reads it again. */
  readonly by: 'claim' | 'load';
  readonly rows: readonly ClaimedRow[];
  /** Of rows that are not here, or of no trace. */
  readonly more: number;
  /** performance.now() */
  readonly askedAt: number;
}

/** Whether anybody is told of claims. */
export function claimsAreTraced(): boolean {
  return openTelemetry('trace') !== null;
}

/** Told after the fact: most claims bring nothing. Answers the span, for what follows from it; undefined where nothing is traced. */
export function traceClaim(claim: Claim): SpanContext | undefined {
  if (claim.rows.length === 0) return undefined;
  const api = openTelemetry('trace');
  if (api === null) return undefined;
  return tryTo(() => tell(api, claim));
}

/** Rows that joined an open batch. */
export function traceJoined(
  lane: string,
  { rows, rest }: { readonly rows: readonly ClaimedRow[]; readonly rest: readonly unknown[] },
  askedAt: number,
): void {
  traceClaim({ lane, by: 'claim', rows, more: rest.length, askedAt });
}

function tell(api: OpenTelemetry, { lane, by, rows, more, askedAt }: Claim): SpanContext | undefined {
  const producers = rows.map((row) => spanOf(api, row));
  const traced = producers.filter((producer) => producer !== undefined);
  if (traced.length === 0) return undefined;
  const alone = rows.length + more === 1;
  const links: Link[] = alone ? [] : traced.slice(0, linksMost).map((context) => ({ context }));
  const span = api.trace.getTracer(scope).startSpan(
    `${by} ${lane}`,
    {
      kind: api.SpanKind.CLIENT,
      links,
      startTime: performance.timeOrigin + askedAt,
      attributes: {
        'messaging.system': 'temporal_outbox',
        'messaging.operation.type': 'receive',
        'messaging.operation.name': by,
        'messaging.destination.name': lane,
        'messaging.batch.message_count': rows.length + more,
      },
    },
    under(api, alone ? traced[0] : undefined),
  );
  span.end();
  const context = span.spanContext();
  if (!alone) for (const row of rows) claims.set(row, context);
  return context;
}

function spanOf(api: OpenTelemetry, { headers }: ClaimedRow): SpanContext | undefined {
  // Most events of most installations have none.
  if (!headers.includes('traceparent')) return undefined;
  return remoteSpan(api, JSON.parse(headers) as Record<string, unknown>);
}
