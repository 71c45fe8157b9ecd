/** What an sqs destination may not say. */
import { expandEnvironment } from '../../core/environment.ts';
import type { KeyPath } from '../../settings/findings.ts';
import { isMapping, type Mapping } from '../../settings/mapping.ts';
import type { RuleContext } from '../../settings/ruleContext.ts';
import { checkCredential } from '../../settings/values.ts';
import { checkServerAddress } from '../shared/serverAddress.ts';
import { schemes } from './schemes.ts';
import { isAmazons, isFifo, regionOf } from './connection.ts';

export function checkSqs(path: KeyPath, destination: Mapping, context: RuleContext): void {
  const { queueUrl, endpoint, region, credentials } = destination;
  const { findings, env } = context;
  for (const [key, written] of Object.entries({ queueUrl, endpoint }))
    if (typeof written === 'string') checkServerAddress([...path, key], written, schemes, context);
  if (isMapping(credentials))
    for (const key of ['accessKeyId', 'secretAccessKey', 'sessionToken']) {
      const written = credentials[key];
      if (typeof written === 'string') checkCredential([...path, 'credentials', key], written, context);
    }
  if (typeof queueUrl !== 'string' || queueUrl.startsWith('env:')) return;
  const expanded = expandEnvironment(queueUrl, env).text;
  if (!URL.canParse(expanded)) return;
  const url = new URL(expanded);
  if (!/^\/[^/]+\/[^/]+$/.test(url.pathname))
    findings.problem([...path, 'queueUrl'], 'expected the URL of a queue, https://host/<account>/<queue>');
  if (region === undefined && regionOf(url) === null)
    findings.problem(path, 'expected region: queueUrl does not say it');
  const target = typeof endpoint === 'string' ? expandEnvironment(endpoint, env).text : expanded;
  if (credentials === undefined && URL.canParse(target) && !isAmazons(new URL(target)))
    findings.problem(
      path,
      "expected credentials: what this process logs in to AWS with goes to Amazon's own hosts alone",
    );
  if (isFifo(url) && destination['ordering'] !== 'key')
    findings.warning(
      [...path, 'queueUrl'],
      'a FIFO queue keeps the order in which messages come; for that of events, set ordering: key',
    );
}
