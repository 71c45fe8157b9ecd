/** What stands between ours and PostgreSQL in many places, and has opinions of its own. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { atEnd } from '../support/index.ts';

export interface Pooler {
  readonly url: string;
  /** New connections are refused with an error like this, and those that are there are broken; null: no more. */
  refuse(error: { readonly code: string; readonly message: string } | null): void;
}

/** Passes everything on to the server of `url`. `takesOptions: false`: as pgbouncer in its standard configuration. */
export async function startPooler(url: string, { takesOptions = true } = {}): Promise<Pooler> {
  const target = new URL(url);
  const open = new Set<Socket>();
  let refusal: { readonly code: string; readonly message: string } | null = null;
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => undefined).on('close', () => open.delete(client));
    client.once('data', (first) => {
      if (refusal !== null) return void client.end(errorMessage(refusal));
      if (!takesOptions && first.includes('options\0')) {
        const message = 'unsupported startup parameter: options';
        return void client.end(errorMessage({ code: '08P01', message }));
      }
      const upstream = connect(Number(target.port), target.hostname);
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
      upstream.write(first);
      client.pipe(upstream).pipe(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    refuse: (error) => {
      refusal = error;
      if (error !== null) for (const socket of open) socket.resetAndDestroy();
    },
  };
}

/** ErrorResponse of PostgreSQL's protocol. */
function errorMessage({ code, message }: { readonly code: string; readonly message: string }): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
