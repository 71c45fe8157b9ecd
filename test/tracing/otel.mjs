/** What an application that wants traces and figures loads first: `node --import ./otel.mjs`. The SDK is the application's own. */
import { metrics } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const resource = resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME });
const spanProcessors = [new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 100 })];
new NodeTracerProvider({ resource, spanProcessors }).register();
const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter(),
  exportIntervalMillis: 500,
  exportTimeoutMillis: 400,
});
metrics.setGlobalMeterProvider(new MeterProvider({ resource, readers: [reader] }));
