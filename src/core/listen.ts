/** Where a server listens, as people write it: `127.0.0.1:9464`, `[::1]:9464`, `0.0.0.0:0` for any free port. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What to say when one was expected. */
export const listenExpected = 'an address and a port to listen at, such as 127.0.0.1:9464';

export const listenPattern =
  /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253})?)):(\d{1,5})$/;

/** Null when it is none. The address must be written: whether a port is open to the network is nothing to guess. */
export function parseListen(text: string): ListenAddress | null {
  const match = listenPattern.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? null : { host, port };
}

/** `127.0.0.1:9464`, `[::1]:9464` */
export function formatListen({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
