/** A validated file → what the rest of the system reads: every default filled in, every duration in milliseconds. */
import type { ApiConfig } from '../core/api.ts';
import { parseListen, type ListenAddress } from '../core/listen.ts';
import type {
  CircuitConfig,
  CredentialsConfig,
  HttpDestinationConfig,
  OutboxConfig,
  RetentionConfig,
  RetryPolicy,
  RouteConfig,
} from '../core/destination.ts';
import { parseDuration } from '../core/duration.ts';
import type { ProducerConfig } from '../core/producer.ts';
import { defaults } from './limits.ts';
import type { FileInput, HttpDestinationInput, ProducerInput } from './schema.ts';

export function normalise(file: FileInput): OutboxConfig {
  return {
    name: file.name ?? null,
    metrics: file.metrics ?? null,
    destinations: Object.entries(file.destinations).map(([name, input]) => normaliseHttp(name, input)),
    routes: (file.routes ?? []).map(({ match, where, to }): RouteConfig => ({
      match,
      where: where ?? null,
      to,
    })),
    retention: normaliseRetention(file.retention ?? {}),
    producers: Object.entries(file.producers ?? {}).map(([name, input]) => normaliseProducer(name, input)),
    api: file.api === undefined ? null : normaliseApi(file.api),
  };
}

function normaliseRetention(input: NonNullable<FileInput['retention']>): RetentionConfig {
  const { retention } = defaults;
  return {
    eventsMs: ms(input.events, retention.eventsMs),
    deliveredMs: input.delivered === 0 ? 0 : ms(input.delivered, retention.deliveredMs),
    attemptsMs: ms(input.attempts, retention.attemptsMs),
    deadLettersMs: ms(input.deadLetters, retention.deadLettersMs),
    auditMs: ms(input.audit, retention.auditMs),
    dedupKeysMs: ms(input.dedupKeys, retention.dedupKeysMs),
  };
}

function normaliseProducer(name: string, { checkBack }: ProducerInput): ProducerConfig {
  const { url, handler, signing, auth, network } = checkBack;
  const timeoutMs = ms(checkBack.timeout, defaults.checkBack.timeoutMs);
  return {
    name,
    graceMs: ms(checkBack.grace, defaults.checkBack.graceMs),
    scheduleMs: checkBack.schedule?.map((entry) => ms(entry, 0)) ?? defaults.checkBack.scheduleMs,
    checkBack:
      handler !== undefined
        ? { kind: 'handler', handler, timeoutMs }
        : {
            kind: 'http',
            url: url as string,
            timeoutMs,
            signing: signing ?? null,
            auth: normaliseAuth(auth),
            network: { allowPrivate: network?.allowPrivate ?? defaults.network.allowPrivate },
          },
  };
}

function normaliseApi({ listen = defaults.api.listen, tokens }: NonNullable<FileInput['api']>): ApiConfig {
  return { listen: parseListen(listen) as ListenAddress, tokens: tokens ?? [] };
}

function normaliseHttp(name: string, input: HttpDestinationInput): HttpDestinationConfig {
  return {
    name,
    type: 'http',
    url: input.url,
    method: input.method ?? defaults.method,
    headers: { ...input.headers },
    timeoutMs: ms(input.timeout, defaults.timeoutMs),
    retry: normaliseRetry(input.retry ?? {}),
    signing: input.signing ?? null,
    auth: normaliseAuth(input.auth),
    idempotencyKey: { quoted: input.idempotencyKey?.quoted ?? defaults.idempotencyKey.quoted },
    cloudEvents: input.cloudEvents ?? defaults.cloudEvents,
    ordering: input.ordering ?? defaults.ordering,
    onPark: input.onPark ?? defaults.onPark,
    concurrency: input.concurrency ?? defaults.concurrency,
    rateLimit:
      input.rateLimit === undefined
        ? null
        : { limit: input.rateLimit.limit, perMs: ms(input.rateLimit.per, 0) },
    batch: { ...defaults.batch, ...withoutUndefined(input.batch ?? {}) },
    circuit: normaliseCircuit(input.circuit ?? {}),
    network: { allowPrivate: input.network?.allowPrivate ?? defaults.network.allowPrivate },
    responseExcerpt: input.responseExcerpt ?? defaults.responseExcerpt,
  };
}

function normaliseRetry(input: NonNullable<HttpDestinationInput['retry']>): RetryPolicy {
  const scheduleMs = input.schedule?.map((entry) => ms(entry, 0)) ?? null;
  return {
    ...(scheduleMs === null ? normaliseBackoff(input) : describeSchedule(scheduleMs)),
    maximumAttempts: input.maximumAttempts ?? (scheduleMs?.length ?? defaults.retry.maximumAttempts - 1) + 1,
    scheduleToCloseTimeoutMs: ms(input.scheduleToCloseTimeout, defaults.retry.scheduleToCloseTimeoutMs),
    jitter: input.jitter ?? defaults.retry.jitter,
    scheduleMs,
    retryAfter: {
      honor: input.retryAfter?.honor ?? defaults.retry.retryAfter.honor,
      maximumMs: ms(input.retryAfter?.maximum, defaults.retry.retryAfter.maximumMs),
    },
    nonRetryableStatusCodes: [
      ...new Set(input.nonRetryableStatusCodes ?? defaults.retry.nonRetryableStatusCodes),
    ],
  };
}

type Backoff = Pick<RetryPolicy, 'initialIntervalMs' | 'backoffCoefficient' | 'maximumIntervalMs'>;

function normaliseBackoff(input: NonNullable<HttpDestinationInput['retry']>): Backoff {
  return {
    initialIntervalMs: ms(input.initialInterval, defaults.retry.initialIntervalMs),
    backoffCoefficient: input.backoffCoefficient ?? defaults.retry.backoffCoefficient,
    maximumIntervalMs: ms(input.maximumInterval, defaults.retry.maximumIntervalMs),
  };
}

/** Unused beside a schedule, but true of it: a reader of the stored form is not misled by defaults that do not apply. */
function describeSchedule(scheduleMs: readonly number[]): Backoff {
  return {
    initialIntervalMs: scheduleMs[0] as number,
    backoffCoefficient: 1,
    maximumIntervalMs: Math.max(...scheduleMs),
  };
}

function normaliseCircuit(input: NonNullable<HttpDestinationInput['circuit']>): CircuitConfig {
  return {
    enabled: input.enabled ?? defaults.circuit.enabled,
    failureRate: input.failureRate ?? defaults.circuit.failureRate,
    minimumRequests: input.minimumRequests ?? defaults.circuit.minimumRequests,
    windowMs: ms(input.window, defaults.circuit.windowMs),
    unreachableInARow: input.unreachableInARow ?? defaults.circuit.unreachableInARow,
    probeAfterMs: ms(input.probeAfter, defaults.circuit.probeAfterMs),
    maximumProbeIntervalMs: ms(input.maximumProbeInterval, defaults.circuit.maximumProbeIntervalMs),
    probeUrl: input.probeUrl ?? defaults.circuit.probeUrl,
  };
}

function normaliseAuth(input: HttpDestinationInput['auth']): CredentialsConfig | null {
  if (input?.bearer !== undefined) return { kind: 'bearer', token: input.bearer };
  if (input?.basic !== undefined) return { kind: 'basic', ...input.basic };
  return null;
}

function ms(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : (parseDuration(text) ?? fallback);
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
