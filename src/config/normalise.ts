/** A validated file → what the rest of the system reads: every default filled in, every duration in milliseconds. */
import type { AlertsConfig } from '../core/alerts.ts';
import type { ApiConfig } from '../core/api.ts';
import type { OutboxConfig, RetentionConfig, RouteConfig } from '../core/destination.ts';
import { parseListen, type ListenAddress } from '../core/listen.ts';
import type { ProducerConfig } from '../core/producer.ts';
import { normaliseDestination } from '../destination/configured.ts';
import { normaliseHttpCheckBack } from '../destination/http/checkBackSettings.ts';
import type { DestinationTypes } from '../destination/registry.ts';
import { ms } from '../settings/durations.ts';
import { defaults } from '../settings/limits.ts';
import { normaliseDashboard } from './dashboardSection.ts';
import { normaliseEventTypes } from './eventTypes.ts';
import type { FileInput, ProducerInput } from './schema.ts';

export function normalise(file: FileInput, types: DestinationTypes): OutboxConfig {
  return {
    name: file.name ?? null,
    metrics: file.metrics ?? null,
    destinations: Object.entries(file.destinations).map(([name, input]) =>
      normaliseDestination(name, input, types),
    ),
    routes: (file.routes ?? []).map(({ match, where, to }): RouteConfig => ({
      match,
      where: where ?? null,
      to,
    })),
    retention: normaliseRetention(file.retention ?? {}),
    producers: Object.entries(file.producers ?? {}).map(([name, input]) => normaliseProducer(name, input)),
    api: file.api === undefined ? null : normaliseApi(file.api),
    // Absent where the file has none, so that what was applied before stays what it was.
    ...(file.dashboard === undefined ? {} : { dashboard: normaliseDashboard(file.dashboard) }),
    ...(file.alerts === undefined ? {} : { alerts: normaliseAlerts(file.alerts) }),
    ...(file.encryption === undefined ? {} : { encryption: file.encryption }),
    ...(file.events === undefined ? {} : { events: normaliseEventTypes(file.events) }),
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
  const { handler } = checkBack;
  return {
    name,
    graceMs: ms(checkBack.grace, defaults.checkBack.graceMs),
    scheduleMs: checkBack.schedule?.map((entry) => ms(entry, 0)) ?? defaults.checkBack.scheduleMs,
    checkBack:
      handler === undefined
        ? normaliseHttpCheckBack(checkBack)
        : { kind: 'handler', handler, timeoutMs: ms(checkBack.timeout, defaults.checkBack.timeoutMs) },
  };
}

function normaliseAlerts(input: NonNullable<FileInput['alerts']>): AlertsConfig {
  const { alerts } = defaults;
  return {
    to: input.to ?? [],
    slack: input.slack ?? [],
    everyMs: ms(input.every, alerts.everyMs),
    repeatMs: ms(input.repeat, alerts.repeatMs),
    parked: input.parked ?? alerts.parked,
    circuitOpenMs: ms(input.circuitOpen, alerts.circuitOpenMs),
    circuitFlaps: input.circuitFlaps ?? alerts.circuitFlaps,
    lagMs: ms(input.lag, alerts.lagMs),
    housekeepingMs: ms(input.housekeeping, alerts.housekeepingMs),
    unwrittenMs: ms(input.unwritten, alerts.unwrittenMs),
    off: input.off ?? [],
    link: input.link ?? null,
  };
}

function normaliseApi({ listen = defaults.api.listen, tokens }: NonNullable<FileInput['api']>): ApiConfig {
  return { listen: parseListen(listen) as ListenAddress, tokens: tokens ?? [] };
}
