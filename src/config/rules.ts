/**
 * What holds between keys, checked on the values as written, so that one wrong key does not hide what is wrong with
 * its neighbours: a value the schema refuses is passed over here.
 */
import { nearestWord } from '../core/nearest.ts';
import { checkHttpCheckBack } from '../destination/http/checkBackSettings.ts';
import { checkDestination } from '../destination/configured.ts';
import type { DestinationTypes } from '../destination/registry.ts';
import { written } from '../settings/durations.ts';
import { quote, type Findings, type KeyPath } from '../settings/findings.ts';
import { defaults } from '../settings/limits.ts';
import { isMapping, type Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { checkApi } from './apiRules.ts';
import { checkDashboard } from './dashboardSection.ts';

export function checkRules(file: Mapping, types: DestinationTypes, context: RuleContext): void {
  const { destinations, routes } = file;
  const { findings } = context;
  if (isMapping(destinations)) {
    if (Object.keys(destinations).length === 0)
      findings.problem(['destinations'], 'expected at least one destination');
    for (const [name, destination] of Object.entries(destinations)) {
      if (isMapping(destination)) checkDestination(['destinations', name], destination, types, context);
    }
  }
  checkRetention(file['retention'], findings);
  checkRoutes(routes, isMapping(destinations) ? Object.keys(destinations) : [], findings);
  if (isMapping(file['alerts']))
    checkAlerts(file['alerts'], isMapping(destinations) ? Object.keys(destinations) : [], findings);
  if (isMapping(file['producers'])) checkProducers(file['producers'], context);
  if (isMapping(file['api'])) checkApi(file['api'], context);
  if (isMapping(file['dashboard'])) checkDashboard(file['dashboard'], context);
}

function checkAlerts(alerts: Mapping, destinations: readonly string[], findings: Findings): void {
  const lists = ['to', 'slack'].filter((key) => alerts[key] !== undefined);
  if (lists.length === 0) findings.problem(['alerts'], 'expected destinations for them: to, slack, or both');
  for (const key of lists) {
    const to = alerts[key];
    if (Array.isArray(to)) checkTargets(['alerts', key], to as unknown[], destinations, findings);
  }
}

function checkProducers(producers: Mapping, context: RuleContext): void {
  for (const [name, producer] of Object.entries(producers)) {
    const checkBack = isMapping(producer) ? producer['checkBack'] : undefined;
    if (isMapping(checkBack)) checkHttpCheckBack(['producers', name, 'checkBack'], checkBack, context);
  }
}

/** A repeat whose event is still there must be recognised: its content would otherwise be written a second time. */
function checkRetention(retention: unknown, findings: Findings): void {
  if (!isMapping(retention)) return;
  const events = written(retention, 'events', defaults.retention.eventsMs);
  const dedupKeys = written(retention, 'dedupKeys', defaults.retention.dedupKeysMs);
  if (events.ms === null || dedupKeys.ms === null || events.ms <= dedupKeys.ms) return;
  findings.problem(
    ['retention', dedupKeys.isDefault ? 'events' : 'dedupKeys'],
    `expected dedupKeys (${dedupKeys.spoken}) to be at least events (${events.spoken})`,
  );
}

function checkRoutes(routes: unknown, destinations: readonly string[], findings: Findings): void {
  if (!Array.isArray(routes)) return;
  for (const [index, route] of (routes as unknown[]).entries()) {
    const to: unknown = isMapping(route) ? route['to'] : undefined;
    if (!Array.isArray(to)) continue;
    checkTargets(['routes', index, 'to'], to as unknown[], destinations, findings);
  }
}

function checkTargets(
  path: KeyPath,
  to: readonly unknown[],
  destinations: readonly string[],
  findings: Findings,
) {
  const seen = new Set<string>();
  for (const [index, name] of to.entries()) {
    if (typeof name !== 'string') continue;
    if (seen.has(name))
      findings.problem([...path, index], `expected each destination once; ${quote(name)} repeats`);
    else if (!destinations.includes(name))
      findings.problem([...path, index], unknownDestination(name, destinations));
    seen.add(name);
  }
}

function unknownDestination(name: string, destinations: readonly string[]): string {
  const nearest = nearestWord(name, destinations);
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
  return `expected a destination of this file, found ${quote(name)}${hint}`;
}
