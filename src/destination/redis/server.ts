/** The server a destination names. */
import type { SecretSource } from '../../core/secrets.ts';
import { readServerAddress } from '../shared/serverAddress.ts';
import { serverOf, type Server } from './connection.ts';
import type { RedisSettings } from './keys.ts';
import { schemes } from './schemes.ts';

/** @throws OutboxError naming what is missing or malformed */
export function prepareServer({ url, tls }: RedisSettings, source: SecretSource): Server {
  return serverOf(readServerAddress('url', url, schemes, source), tls, source);
}
