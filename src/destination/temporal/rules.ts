/** What a temporal destination may not say. */
import { classifyHost, neverReached } from '../../core/address.ts';
import type { KeyPath } from '../../settings/findings.ts';
import type { Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkCredential, expandWritten } from '../../settings/values.ts';
import { checkTls } from '../shared/tls.ts';
import { hostOf } from './server.ts';

/** What each mode needs beside the keys of all. */
const needed: Readonly<Record<string, readonly string[]>> = {
  start: ['workflowType'],
  signalWithStart: ['workflowType', 'signal'],
  updateWithStart: ['workflowType', 'update'],
  activity: ['activityType'],
};
const ofModes = ['workflowType', 'activityType', 'signal', 'update'];

export function checkTemporal(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { findings } = context;
  const { mode = 'start', address, apiKey, tls } = destination;
  const needs = typeof mode === 'string' && Object.hasOwn(needed, mode) ? needed[mode]! : null;
  if (needs !== null)
    for (const key of ofModes) {
      if (needs.includes(key) && destination[key] === undefined)
        findings.problem(path, `expected ${key}, which mode ${mode as string} needs`);
      if (!needs.includes(key) && destination[key] !== undefined)
        findings.keyProblem([...path, key], `has no effect in mode ${mode as string}; remove it`);
    }
  if (destination['startToCloseTimeout'] !== undefined && mode !== 'activity')
    findings.keyProblem([...path, 'startToCloseTimeout'], 'is for mode activity; remove it');
  if (typeof address === 'string') checkAddress([...path, 'address'], address, context);
  for (const key of ['apiKey', 'tls'])
    if (address === undefined && destination[key] !== undefined)
      findings.keyProblem(
        [...path, key],
        'expected address beside it: without one, the login of this process is used',
      );
  if (typeof apiKey === 'string') checkCredential([...path, 'apiKey'], apiKey, context);
  checkTls([...path, 'tls'], tls, context);
}

function checkAddress(path: KeyPath, written: string, context: RuleContext): void {
  const text = expandWritten(path, written, context);
  if (text === undefined) return;
  const host = hostOf(text);
  if (host === null) context.findings.problem(path, 'expected host:port, such as temporal:7233');
  else if (classifyHost(host) === 'forbidden') context.findings.problem(path, neverReached);
}
