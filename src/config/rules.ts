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
import { nameExpected, namePattern } from '../settings/shapes.ts';
import { checkApi } from './apiRules.ts';
import { checkDashboard } from './dashboardSection.ts';
import { checkEventTypes } from './eventTypes.ts';

export function checkRules(file: Mapping, types: DestinationTypes, context: RuleContext): void {
  const { destinations, routes } = file;
  const { findings } = context;
  if (isMapping(destinations)) {
    if (Object.keys(destinations).length === 0)
      findings.problem(['destinations'], 'expected at least one destination');
    for (const [name, destination] of Object.entries(destinations)) {
      if (!isMapping(destination)) continue;
      checkDestination(['destinations', name], destination, types, context);
      checkRedirects(name, destination, Object.keys(destinations), findings);
    }
  }
  for (const key of ['destinations', 'producers']) checkNames(key, file[key], findings);
  checkRetention(file['retention'], findings);
  checkRoutes(routes, isMapping(destinations) ? Object.keys(destinations) : [], findings);
  if (isMapping(file['alerts']))
    checkAlerts(file['alerts'], isMapping(destinations) ? Object.keys(destinations) : [], findings);
  if (isMapping(file['producers'])) checkProducers(file['producers'], context);
  if (isMapping(file['api'])) checkApi(file['api'], context);
  if (isMapping(file['events'])) checkEventTypes(file['events'], context);
  if (isMapping(file['encryption'])) checkEncryption(file['encryption'], findings);
  if (isMapping(file['dashboard'])) checkDashboard(file['dashboard'], context);
}

/** The schema looks at names too, but says nothing of one whose value is wrong besides. */
function checkNames(key: string, named: unknown, findings: Findings): void {
  if (!isMapping(named)) return;
  for (const name of Object.keys(named))
    if (!namePattern.test(name)) findings.keyProblem([key, name], nameExpected);
}

function checkAlerts(alerts: Mapping, destinations: readonly string[], findings: Findings): void {
  const lists = ['to', 'slack'].filter((key) => alerts[key] !== undefined);
  if (lists.length === 0) findings.problem(['alerts'], 'expected destinations for them: to, slack, or both');
  for (const key of lists) {
    const to = alerts[key];
    if (Array.isArray(to)) checkTargets(['alerts', key], to as unknown[], destinations, findings);
  }
}

function checkEncryption({ current, keys }: Mapping, findings: Findings): void {
  if (typeof current !== 'string' || !isMapping(keys) || Object.hasOwn(keys, current)) return;
  const known = Object.keys(keys);
  const found = known.length === 0 ? 'there is none' : `there are ${known.slice(0, 5).join(', ')}`;
  findings.problem(['encryption', 'current'], `expected the id of one of encryption.keys; ${found}`);
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

function checkRedirects(
  name: string,
  { resolutions }: Mapping,
  destinations: readonly string[],
  findings: Findings,
): void {
  const to: unknown = isMapping(resolutions) ? resolutions['redirectTo'] : undefined;
  if (!Array.isArray(to)) return;
  const others = destinations.filter((other) => other !== name);
  const path = ['destinations', name, 'resolutions', 'redirectTo'];
  checkTargets(path, to as unknown[], others, findings, 'another');
}

function checkTargets(
  path: KeyPath,
  to: readonly unknown[],
  destinations: readonly string[],
  findings: Findings,
  which: 'a' | 'another' = 'a',
) {
  const seen = new Set<string>();
  for (const [index, name] of to.entries()) {
    if (typeof name !== 'string') continue;
    if (seen.has(name))
      findings.problem([...path, index], `expected each destination once; ${quote(name)} repeats`);
    else if (!destinations.includes(name))
      findings.problem([...path, index], unknownDestination(name, destinations, which));
    seen.add(name);
  }
}

function unknownDestination(name: string, destinations: readonly string[], which: string): string {
  const nearest = nearestWord(name, destinations);
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
  return `expected ${which} destination of this file, found ${quote(name)}${hint}`;
}
