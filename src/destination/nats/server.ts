/** The servers a destination names. */
import type { SecretSource } from '../../core/secrets.ts';
import { readServerAddress } from '../shared/serverAddress.ts';
import type { NatsSettings } from './keys.ts';
import { serverOf, type Server } from './connection.ts';
import { schemes } from './schemes.ts';

/** @throws OutboxError naming what is missing or malformed */
export function prepareServer({ servers, auth, tls }: NatsSettings, source: SecretSource): Server {
  const urls = servers.map((written, index) =>
    readServerAddress(`servers[${index}]`, written, schemes, source),
  );
  return serverOf(urls, { auth, tls }, source);
}
