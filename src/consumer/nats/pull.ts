/** Pulls from a durable consumer of JetStream. */
import type * as Jetstream from '@nats-io/jetstream';
import type { Consumer, JsMsg } from '@nats-io/jetstream';
import { jetstream } from '../../destination/nats/client.ts';
import { NatsLink, type Server } from '../../destination/nats/connection.ts';
import { loadClient } from '../../destination/shared/clients.ts';
import { OutboxError } from '../../errors.ts';
import type { Pull, Pulled } from '../shared/pulling.ts';
import { textHeaders, textOrNull } from '../shared/text.ts';
import type { Host } from '../type.ts';

export interface NatsConsumerSettings {
  readonly stream: string;
  readonly durable: string;
  readonly subject: string | null;
  readonly ackWaitMs: number;
}

interface Open {
  readonly link: NatsLink;
  readonly consumer: Consumer;
}

/** The least that the server takes. */
const waitMs = 1_000;

export function natsPull(server: Server, settings: NatsConsumerSettings, host: Host): Pull<Open> {
  const { stream, durable, subject, ackWaitMs } = settings;
  return {
    extendEveryMs: ackWaitMs / 3,
    async open(lost) {
      const link = new NatsLink(server);
      try {
        const { AckPolicy } = await loadClient<typeof Jetstream>(jetstream, 'nats');
        const { nats, js, manager } = await link.connected();
        void nats.closed().then((error) => lost(error ?? new Error('the connection closed')));
        const { consumers } = await manager();
        const info = await consumers.add(stream, {
          durable_name: durable,
          ack_policy: AckPolicy.Explicit,
          ack_wait: ackWaitMs * 1_000_000,
          max_deliver: -1,
          // Several processes share a consumer: the order of the stream holds only while one message at a time is out.
          max_ack_pending: host.order === 'key' ? 1 : 1000,
          ...(subject === null ? {} : { filter_subject: subject }),
        });
        if (host.order === 'key' && info.config.max_ack_pending !== 1) throw notInOrder(durable);
        return { link, consumer: await js.consumers.get(stream, durable) };
      } catch (error) {
        await link.close();
        throw error;
      }
    },
    async receive({ consumer }, room, deliver) {
      const messages = await consumer.fetch({ max_messages: room, expires: waitMs });
      for await (const message of messages) deliver(delivery(message, stream));
    },
    end: ({ link }) => link.close(),
  };
}

function notInOrder(durable: string): OutboxError {
  return new OutboxError(
    'OUTBOX_INBOX_INVALID',
    `from: the consumer ${durable} has another max_ack_pending than 1`,
    {
      hint: "order: 'key' needs one of its own: give another name as durable.",
    },
  );
}

function delivery(message: JsMsg, stream: string): Pulled {
  const names = message.headers?.keys() ?? [];
  const headers = textHeaders([...names].map((name) => [name, message.headers?.get(name) ?? '']));
  const done = (work: () => void) => async (): Promise<void> => work();
  return {
    headers,
    body: message.data,
    contentType: textOrNull(headers['content-type']),
    brokerId: textOrNull(headers['nats-msg-id']),
    key: null,
    position: `${stream}@${message.seq}`,
    acknowledge: done(() => message.ack()),
    giveBack: done(() => message.nak()),
    again: async (delayMs) => message.nak(delayMs),
    extend: done(() => message.working()),
  };
}
