/** The span of a receiver or consumer at work on a message, active within its handler. */
import type { Attributes, Context, Link, Span } from '@opentelemetry/api';
import { openTelemetry, remoteSpan, scope, tryTo, under, type OpenTelemetry } from './openTelemetry.ts';

export interface Processed {
  /** `rabbitmq`, `temporal_outbox` over HTTP. */
  readonly system: string;
  /** The queue; null over HTTP, where it is the consumer's own. */
  readonly destination: string | null;
  readonly consumer: string;
  readonly messageId: string;
  readonly type: string | null;
  readonly attempt: number | null;
  readonly trace: { readonly traceparent: string | undefined; readonly tracestate: string | undefined };
}

/** How the work ended, when it did not throw. */
export interface Ended {
  readonly attributes: Attributes;
  /** Why the message was not taken; null when it was. */
  readonly error: string | null;
}

/** Runs `work` within a span that continues the message's trace; as it is where nothing is traced. */
export async function processing<T>(
  about: () => Processed,
  work: () => Promise<T>,
  ended: (result: T) => Ended,
): Promise<T> {
  const api = openTelemetry('trace');
  if (api === null) return work();
  const begun = tryTo(() => begin(api, about()));
  if (begun === undefined) return work();
  const [span, within] = begun;
  try {
    const result = await api.context.with(within, work);
    const { attributes, error } = ended(result);
    span.setAttributes(attributes);
    if (error !== null) span.setStatus({ code: api.SpanStatusCode.ERROR, message: error });
    return result;
  } catch (error) {
    span.setAttribute('error.type', error instanceof Error ? error.name : '_OTHER');
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: String(error) });
    throw error;
  } finally {
    span.end();
  }
}

function begin(api: OpenTelemetry, message: Processed): [Span, Context] {
  const sent = remoteSpan(api, message.trace);
  // Where the HTTP server or the broker's client is instrumented, its span is active, and of this trace: ours goes below it.
  const active = api.trace.getSpanContext(api.context.active());
  const isOfTrace = active !== undefined && (sent === undefined || active.traceId === sent.traceId);
  const links: Link[] = isOfTrace || active === undefined ? [] : [{ context: active }];
  const parent = isOfTrace ? api.context.active() : under(api, sent);
  const { system, consumer, destination, messageId, type, attempt } = message;
  const attributes = {
    'messaging.system': system,
    'messaging.operation.type': 'process',
    'messaging.operation.name': 'process',
    'messaging.destination.name': destination ?? consumer,
    'messaging.consumer.group.name': consumer,
    'messaging.message.id': messageId,
    ...(type === null ? {} : { 'outbox.event.type': type }),
    ...(attempt === null ? {} : { 'outbox.attempt': attempt }),
  };
  const kind = api.SpanKind.CONSUMER;
  const name = `process ${destination ?? consumer}`;
  const span = api.trace.getTracer(scope).startSpan(name, { kind, links, attributes }, parent);
  return [span, api.trace.setSpan(isOfTrace ? parent : api.context.active(), span)];
}
