import { jetstream, transport } from '../../destination/nats/client.ts';
import { serverOf } from '../../destination/nats/connection.ts';
import { schemes } from '../../destination/nats/schemes.ts';
import { readPlainAddress } from '../../destination/shared/plainAddress.ts';
import { checkedText, invalid } from '../../inbox/message.ts';
import { checkedDuration } from '../checks.ts';
import { tlsFrom, type TlsFrom } from '../shared/options.ts';
import { PullingSource } from '../shared/pulling.ts';
import type { ConsumerType } from '../type.ts';
import { natsPull } from './pull.ts';

export interface NatsFrom {
  /** `nats://…` or `tls://…`, or `env:NAME` of one. */
  readonly servers: readonly string[];
  readonly stream: string;
  /** Name of the durable consumer, made where it is not there. Default: the consumer's, with `_` for what such a name may not hold. */
  readonly durable?: string;
  /** Of the stream only these. Default: all. */
  readonly subject?: string;
  /** After so long without a word the server delivers again; extended while the handler runs. Default 30s. */
  readonly ackWait?: string;
  readonly auth?: {
    readonly user?: string;
    readonly password?: string;
    readonly token?: string;
    readonly nkey?: string;
    readonly creds?: string;
  };
  readonly tls?: TlsFrom;
}

/** `type: 'nats'`: a durable pull consumer of JetStream; retries by `nak` with a delay. */
export const nats: ConsumerType<NatsFrom> = {
  name: 'nats',
  clients: [transport, jetstream],
  keys: ['servers', 'stream', 'durable', 'subject', 'ackWait', 'auth', 'tls'],
  source: ({ stream }) => `nats ${stream}`,
  open({ servers, stream, durable, subject, ackWait = '30s', auth, tls }, host, secrets) {
    if (!Array.isArray(servers) || servers.length === 0)
      throw invalid('from.servers', 'a list of addresses', servers);
    const urls = servers.map((each: string, index) =>
      readPlainAddress(`from.servers[${index}]`, String(each), schemes, secrets),
    );
    const { user = null, password = null, token = null, nkey = null, creds = null } = auth ?? {};
    const login = auth === undefined ? null : { user, password, token, nkey, creds };
    const server = serverOf(urls, { auth: login, tls: tlsFrom(tls) }, secrets);
    const settings = {
      stream: checkedText('from.stream', stream),
      durable: durable ?? host.consumer.replaceAll(/[^A-Za-z0-9_-]/g, '_'),
      subject: subject ?? null,
      ackWaitMs: checkedDuration('from.ackWait', ackWait),
    };
    return new PullingSource(natsPull(server, settings, host), host);
  },
};
