/** The span of one attempt: a child of the producer's span, and the parent of whatever the receiver does. */
import type { Attributes, Link, Span } from '@opentelemetry/api';
import type { DestinationConfig } from '../core/destination.ts';
import { messageId } from '../core/messageId.ts';
import type { SendOutcome } from '../core/outcome.ts';
import { traceHeadersOf } from '../core/traceContext.ts';
import type { DeliveryRow } from '../storage/attempts.ts';
import { claimOf } from './claim.ts';
import {
  messagingSystem,
  openTelemetry,
  remoteSpan,
  scope,
  tryTo,
  under,
  type OpenTelemetry,
} from './openTelemetry.ts';

export interface AttemptSpan {
  /** The event's headers, with this span in place of the producer's. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sends within the span. */
  send(send: () => Promise<SendOutcome>): Promise<SendOutcome>;
}

/**
 * Null where nothing is traced. Every attempt, of whatever day and process, is a child of the producer's span: the trace of an event stays in one
 * piece, and nothing has to be remembered between attempts. `outbox.attempt` tells them apart.
 */
export function attemptSpan(
  row: DeliveryRow,
  headers: Readonly<Record<string, string>>,
  config: DestinationConfig,
): AttemptSpan | null {
  const api = openTelemetry('trace');
  if (api === null) return null;
  const begun = tryTo((): AttemptSpan => {
    const span = begin(api, row, headers, config);
    return { headers: continued(headers, span), send: (send) => sendWithin(api, span, config, send) };
  });
  return begun ?? null;
}

function begin(
  api: OpenTelemetry,
  row: DeliveryRow,
  headers: Readonly<Record<string, string>>,
  config: DestinationConfig,
): Span {
  const claim = claimOf(row);
  const links: Link[] = claim === undefined ? [] : [{ context: claim }];
  const kind = config.type === 'http' ? api.SpanKind.CLIENT : api.SpanKind.PRODUCER;
  return api.trace
    .getTracer(scope)
    .startSpan(
      `send ${row.destination}`,
      { kind, links, attributes: about(row, config) },
      under(api, remoteSpan(api, headers)),
    );
}

function about(row: DeliveryRow, config: DestinationConfig): Attributes {
  return {
    'messaging.system': messagingSystem(config.type),
    'messaging.operation.type': 'send',
    'messaging.operation.name': 'send',
    ...placeOf(config, row.destination),
    'messaging.message.id': messageId(row.eventId, row.revision),
    'outbox.destination': row.destination,
    'outbox.event.type': row.type ?? '',
    'outbox.attempt': row.tries + 1,
  };
}

/** Where it is sent, as far as that is one name for all events; a template as the template that it is. */
function placeOf(config: DestinationConfig, destination: string): Attributes {
  const { topic, subject, stream, exchange } = config as unknown as Record<string, unknown>;
  const place = [topic, subject, stream, exchange].find((each) => typeof each === 'string' && each !== '');
  if (typeof place !== 'string') return { 'messaging.destination.name': destination };
  return { [`messaging.destination.${place.includes('{') ? 'template' : 'name'}`]: place };
}

function continued(headers: Readonly<Record<string, string>>, span: Span): Readonly<Record<string, string>> {
  const own = traceHeadersOf(span.spanContext());
  if (own === undefined) return headers;
  const { traceparent: _parent, tracestate: _state, ...others } = headers;
  return { ...others, ...own };
}

async function sendWithin(
  api: OpenTelemetry,
  span: Span,
  config: DestinationConfig,
  send: () => Promise<SendOutcome>,
): Promise<SendOutcome> {
  // Instrumented clients would make a span of their own, and add a second traceparent, with which receivers ignore both.
  const quiet = api.trace.setSpan(api.ROOT_CONTEXT, span).setValue(suppressed, true);
  const outcome = await api.context.with(quiet, send).catch((error: unknown) => {
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: String(error) }).end();
    throw error;
  });
  end(api, span, config, outcome);
  return outcome;
}

/** By which SDK and instrumentations know that nothing is to be traced within a context. */
const suppressed = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

function end(api: OpenTelemetry, span: Span, { type }: DestinationConfig, outcome: SendOutcome): void {
  span.setAttribute('outbox.outcome', outcome.kind);
  if (outcome.kind !== 'aborted') {
    if (type === 'http' && outcome.status !== null)
      span.setAttribute('http.response.status_code', outcome.status);
    if (outcome.kind !== 'acknowledged')
      span
        .setAttribute('error.type', outcome.errorClass)
        .setStatus({ code: api.SpanStatusCode.ERROR, message: outcome.message });
  }
  span.end();
}
