import { openWire, type Wire, type WireMode } from '../../src/testing/conformance/wire.ts';
import { atEnd } from './cleanup.ts';

export type ProxyMode = WireMode;
export type TcpProxy = Wire;

/** Stops when the test (or the file) ends. `target`: `host:port`. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const wire = await openWire(() => target);
  atEnd(() => wire.close());
  return wire;
}
