/**
 * What holds between keys, checked on the values as written, so that one wrong key does not hide what is wrong with
 * its neighbours: a value the schema refuses is passed over here.
 */
import { formatDuration, parseDuration } from '../core/duration.ts';
import { nearestWord } from '../core/nearest.ts';
import { quote, type Findings, type KeyPath } from './findings.ts';
import { checkHttp } from './httpRules.ts';
import { checkApi } from './apiRules.ts';
import { isMapping, type Mapping } from './mapping.ts';
import { defaults } from './limits.ts';
import type { RuleContext } from './ruleContext.ts';

export function checkRules(file: Mapping, context: RuleContext): void {
  const { destinations, routes } = file;
  const { findings } = context;
  if (isMapping(destinations)) {
    if (Object.keys(destinations).length === 0)
      findings.problem(['destinations'], 'expected at least one destination');
    for (const [name, destination] of Object.entries(destinations)) {
      if (isMapping(destination)) checkDestination(['destinations', name], destination, context);
    }
  }
  checkRetention(file['retention'], findings);
  checkRoutes(routes, isMapping(destinations) ? Object.keys(destinations) : [], findings);
  if (isMapping(file['producers'])) checkProducers(file['producers'], context);
  if (isMapping(file['api'])) checkApi(file['api'], context);
}

const onlyWithUrl = ['signing', 'auth', 'network'];

function checkProducers(producers: Mapping, context: RuleContext): void {
  for (const [name, producer] of Object.entries(producers)) {
    const checkBack = isMapping(producer) ? producer['checkBack'] : undefined;
    if (!isMapping(checkBack)) continue;
    const path = ['producers', name, 'checkBack'];
    const { url, handler } = checkBack;
    if ((url === undefined) === (handler === undefined))
      context.findings.problem(path, 'expected exactly one of url and handler');
    for (const key of onlyWithUrl) {
      if (handler !== undefined && checkBack[key] !== undefined)
        context.findings.keyProblem([...path, key], 'has no effect beside handler; remove one');
    }
    checkHttp(path, checkBack, context);
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

function checkDestination(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const retry = isMapping(destination['retry']) ? destination['retry'] : {};
  checkIntervals([...path, 'retry'], retry, context.findings);
  checkBudget(path, destination, retry, context.findings);
  if (isMapping(destination['circuit']))
    checkProbes([...path, 'circuit'], destination['circuit'], context.findings);
  if (destination['type'] === 'http') checkHttp(path, destination, context);
}

function checkIntervals(path: KeyPath, retry: Mapping, findings: Findings): void {
  if (retry['schedule'] !== undefined) {
    for (const key of ['initialInterval', 'backoffCoefficient', 'maximumInterval']) {
      if (retry[key] !== undefined)
        findings.keyProblem([...path, key], 'has no effect beside schedule; remove one');
    }
    return;
  }
  const initial = written(retry, 'initialInterval', defaults.retry.initialIntervalMs);
  const maximum = written(retry, 'maximumInterval', defaults.retry.maximumIntervalMs);
  if (initial.ms === null || maximum.ms === null || initial.ms <= maximum.ms) return;
  const key = maximum.isDefault ? 'initialInterval' : 'maximumInterval';
  findings.problem(
    [...path, key],
    `expected initialInterval (${initial.spoken}) to be at most maximumInterval (${maximum.spoken})`,
  );
}

function checkBudget(path: KeyPath, destination: Mapping, retry: Mapping, findings: Findings): void {
  const timeout = written(destination, 'timeout', defaults.timeoutMs);
  const budget = written(retry, 'scheduleToCloseTimeout', defaults.retry.scheduleToCloseTimeoutMs);
  if (timeout.ms === null || budget.ms === null || timeout.ms <= budget.ms) return;
  const key = budget.isDefault || !timeout.isDefault ? ['timeout'] : ['retry', 'scheduleToCloseTimeout'];
  findings.problem(
    [...path, ...key],
    `expected timeout (${timeout.spoken}) to be at most retry.scheduleToCloseTimeout (${budget.spoken})`,
  );
}

function checkProbes(path: KeyPath, circuit: Mapping, findings: Findings): void {
  const first = written(circuit, 'probeAfter', defaults.circuit.probeAfterMs);
  const longest = written(circuit, 'maximumProbeInterval', defaults.circuit.maximumProbeIntervalMs);
  if (first.ms === null || longest.ms === null || first.ms <= longest.ms) return;
  findings.problem(
    [...path, longest.isDefault ? 'probeAfter' : 'maximumProbeInterval'],
    `expected probeAfter (${first.spoken}) to be at most maximumProbeInterval (${longest.spoken})`,
  );
}

/** A duration as written, or its default; `ms` is null where the schema has already refused it. */
function written(mapping: Mapping, key: string, defaultMs: number) {
  const value = mapping[key];
  if (value === undefined)
    return { ms: defaultMs, spoken: `${formatDuration(defaultMs)}, the default`, isDefault: true };
  if (typeof value !== 'string') return { ms: null, spoken: '', isDefault: false };
  return { ms: parseDuration(value), spoken: value, isDefault: false };
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
