/** How a client of RocketMQ's ends: quietly, and for good. Its own shutdown leaves streams and connections behind. */
import { Duplex } from 'node:stream';
import type { BaseClient } from 'rocketmq-client-nodejs';
import { untilDeadline } from '../shared/untilDeadline.ts';

/** The client would write a file under HOME, and to the console. */
export const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  close: () => undefined,
};

const ended = new WeakSet<BaseClient>();

/**
 * The client takes its listeners off a stream before the stream ends, so that its last error would end the process; and it opens
 * streams again after it was shut down.
 */
export function guardStreams(client: BaseClient): void {
  const open = client.createTelemetryStream.bind(client);
  client.createTelemetryStream = (endpoints) => {
    if (ended.has(client)) return sink() as unknown as ReturnType<typeof open>;
    const stream = open(endpoints);
    const takeOff = stream.removeAllListeners.bind(stream);
    stream.removeAllListeners = (...event) => {
      takeOff(...event);
      stream.on('error', () => undefined);
      return stream;
    };
    return stream;
  };
}

/** Takes all and says nothing. */
function sink(): Duplex {
  return new Duplex({
    objectMode: true,
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
}

/** Where the proxy does not answer, the client's own shutdown stops half-way and leaves connections. */
export async function end(client: BaseClient): Promise<void> {
  ended.add(client);
  const { topicRouteCache } = client as unknown as {
    readonly topicRouteCache: ReadonlyMap<
      string,
      { getTotalEndpoints(): Parameters<BaseClient['getTelemetrySession']>[0][] }
    >;
  };
  const endpoints = [...topicRouteCache.values()].flatMap((route) => route.getTotalEndpoints());
  try {
    await untilDeadline(client.shutdown(), shutdownMsMax, { said: 'shutdown' });
  } catch {
    for (const each of endpoints) client.getTelemetrySession(each).release();
    client.getRpcClientManager().close();
  }
}

const shutdownMsMax = 2_000;
