/** The span of a workflow's start, below that of the claim it is for. */
import type { SpanContext } from '@opentelemetry/api';
import { openTelemetry, scope, tryTo, under } from './openTelemetry.ts';

/** Runs `start` within a span; as it is where the claim was not traced. */
export async function tracedStart<T>(
  claim: SpanContext | undefined,
  workflowId: string,
  start: () => Promise<T>,
): Promise<T> {
  const api = claim === undefined ? null : openTelemetry('trace');
  if (api === null) return start();
  const attributes = { 'messaging.system': 'temporal_outbox', 'outbox.workflow.id': workflowId };
  const options = { kind: api.SpanKind.CLIENT, attributes };
  const span = tryTo(() => api.trace.getTracer(scope).startSpan('start deliver', options, under(api, claim)));
  if (span === undefined) return start();
  try {
    return await start();
  } catch (error) {
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: String(error) });
    throw error;
  } finally {
    span.end();
  }
}
