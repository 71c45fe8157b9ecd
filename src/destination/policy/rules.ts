/** What holds between the keys of a destination's policy. */
import type { Findings, KeyPath } from '../../settings/findings.ts';
import { written } from '../../settings/durations.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { PolicyDefaults } from './keys.ts';

export function checkPolicy(
  path: KeyPath,
  destination: Mapping,
  defaults: PolicyDefaults,
  findings: Findings,
): void {
  const retry = isMapping(destination['retry']) ? destination['retry'] : {};
  checkIntervals([...path, 'retry'], retry, defaults, findings);
  checkBudget(path, destination, retry, defaults, findings);
  if (isMapping(destination['circuit']))
    checkProbes([...path, 'circuit'], destination['circuit'], defaults, findings);
  if (isMapping(destination['resolutions']))
    checkResolutions([...path, 'resolutions'], destination['resolutions'], findings);
}

function checkResolutions(path: KeyPath, resolutions: Mapping, findings: Findings): void {
  if (resolutions['redirectTo'] !== undefined && resolutions['redirect'] === 'nobody')
    findings.keyProblem([...path, 'redirectTo'], 'has no effect with redirect: nobody; remove one');
  const { twoPersons } = resolutions;
  if (isMapping(twoPersons) && twoPersons['for'] === undefined && twoPersons['lettersAbove'] === undefined)
    findings.problem(
      [...path, 'twoPersons'],
      'expected for, lettersAbove or both: what two persons have to say',
    );
}

function checkIntervals(path: KeyPath, retry: Mapping, defaults: PolicyDefaults, findings: Findings): void {
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

function checkBudget(
  path: KeyPath,
  destination: Mapping,
  retry: Mapping,
  defaults: PolicyDefaults,
  findings: Findings,
): void {
  const timeout = written(destination, 'timeout', defaults.timeoutMs);
  const budget = written(retry, 'scheduleToCloseTimeout', defaults.retry.scheduleToCloseTimeoutMs);
  if (timeout.ms === null || budget.ms === null || timeout.ms <= budget.ms) return;
  const key = budget.isDefault || !timeout.isDefault ? ['timeout'] : ['retry', 'scheduleToCloseTimeout'];
  findings.problem(
    [...path, ...key],
    `expected timeout (${timeout.spoken}) to be at most retry.scheduleToCloseTimeout (${budget.spoken})`,
  );
}

function checkProbes(path: KeyPath, circuit: Mapping, defaults: PolicyDefaults, findings: Findings): void {
  const first = written(circuit, 'probeAfter', defaults.circuit.probeAfterMs);
  const longest = written(circuit, 'maximumProbeInterval', defaults.circuit.maximumProbeIntervalMs);
  if (first.ms === null || longest.ms === null || first.ms <= longest.ms) return;
  findings.problem(
    [...path, longest.isDefault ? 'probeAfter' : 'maximumProbeInterval'],
    `expected probeAfter (${first.spoken}) to be at most maximumProbeInterval (${longest.spoken})`,
  );
}
