import type { ListenAddress } from './listen.ts';

/** Where and for whom the HTTP API listens. */
export interface ApiConfig {
  readonly listen: ListenAddress;
  /** `env:NAME` each; none: nobody is asked for a token, which only a loopback address may do. */
  readonly tokens: readonly string[];
}

/** Whether only this machine reaches it. `host` as in a listen address or, with or without brackets, in a URL. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare);
}

/** Characters of a token: shorter ones are guessed. */
export const apiTokenLength = { min: 16, max: 512 };
