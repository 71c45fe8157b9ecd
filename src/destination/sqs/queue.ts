/** The queue a destination names. */
import type { SecretSource } from '../../core/secrets.ts';
import { readServerAddress } from '../shared/serverAddress.ts';
import { queueOf, type Queue } from './connection.ts';
import type { SqsSettings } from './keys.ts';
import { schemes } from './schemes.ts';

/** @throws OutboxError naming what is missing or malformed */
export function prepareQueue(settings: SqsSettings, source: SecretSource): Queue {
  const url = readServerAddress('queueUrl', settings.queueUrl, schemes, source);
  const endpoint =
    settings.endpoint === null ? null : readServerAddress('endpoint', settings.endpoint, schemes, source);
  return queueOf(url, { ...settings, endpoint }, source);
}
