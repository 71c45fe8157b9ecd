/** A request as the history of attempts tells it: where it went and with which headers, without what must stay secret. */
import { secretName } from '../../core/secrets.ts';
import type { OutgoingMessage, SentRequest } from '../../core/outcome.ts';
import { printable } from '../../core/printable.ts';
import { redact } from '../shared/printable.ts';
import { buildRequest } from './request.ts';
import { confidentialName, type HttpTarget } from './target.ts';

const valueCharacters = 256;
const headersMax = 60;
const hidden = '[redacted]';

export function describeRequest(target: HttpTarget, message: OutgoingMessage): SentRequest {
  const timestamp = String(Math.floor(target.now() / 1000));
  const request = buildRequest(target, message, timestamp);
  const flat = typeof request === 'string' ? [] : request.headers.slice(0, 2 * headersMax);
  const entries: [string, string][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [name = '', value = ''] = flat.slice(index, index + 2);
    entries.push([name, isSecret(target, name) ? hidden : shown(target, value)]);
  }
  return {
    address: printable(redact(target.label, target.secrets), 500),
    headers: Object.fromEntries(entries),
  };
}

function isSecret({ config }: HttpTarget, name: string): boolean {
  const lowerName = name.toLowerCase();
  if (confidentialName.test(lowerName) || lowerName === 'webhook-signature') return true;
  // Whatever comes from the environment may be one, however short.
  const written = Object.entries(config.headers).find(([each]) => each.toLowerCase() === lowerName);
  return written !== undefined && secretName(written[1]) !== null;
}

function shown({ secrets }: HttpTarget, value: string): string {
  return printable(redact(value, secrets), valueCharacters);
}
