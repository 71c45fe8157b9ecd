/** Warnings about a valid configuration that most likely does not do what its author wants. */
import type { DestinationConfig, OutboxConfig } from '../core/destination.ts';
import { describeDuration } from '../core/duration.ts';
import { timetable } from '../core/retry.ts';
import type { Findings } from '../settings/findings.ts';

export function advise(config: OutboxConfig, findings: Findings): void {
  const routed = new Set(config.routes.flatMap((route) => route.to));
  if (config.routes.length === 0)
    findings.warning(['routes'], 'no routes: events are stored, and delivered nowhere');
  for (const destination of config.destinations) {
    const path = ['destinations', destination.name];
    if (config.routes.length > 0 && !routed.has(destination.name)) {
      findings.warning(path, 'no route leads here; only a redirect can');
    }
    if (destination.onPark === 'skip' && destination.ordering === 'none')
      findings.warning([...path, 'onPark'], 'has no effect without ordering: key');
    const cut = attemptsCutOff(destination);
    if (cut !== null) findings.warning([...path, 'retry'], cut);
  }
  adviseRetention(config, findings);
}

/** What is still being retried is copied aside, one by one, when its day is dropped: right, but not meant for whole days. */
function adviseRetention({ destinations, retention }: OutboxConfig, findings: Findings): void {
  const [longest] = [...destinations].sort(
    (one, other) => other.retry.scheduleToCloseTimeoutMs - one.retry.scheduleToCloseTimeoutMs,
  );
  if (longest === undefined || longest.retry.scheduleToCloseTimeoutMs <= retention.eventsMs) return;
  findings.warning(
    ['retention', 'events'],
    `${describeDuration(retention.eventsMs)} is shorter than the longest retry.scheduleToCloseTimeout ` +
      `(${describeDuration(longest.retry.scheduleToCloseTimeoutMs)}, of ${longest.name}): in a long outage whole days are copied to outbox.events_kept`,
  );
}

function attemptsCutOff({ retry }: DestinationConfig): string | null {
  const reached = timetable(retry).length;
  if (reached === retry.maximumAttempts) return null;
  const budget = describeDuration(retry.scheduleToCloseTimeoutMs);
  return `scheduleToCloseTimeout (${budget}) ends after attempt ${reached} of ${retry.maximumAttempts}`;
}
