/** What a destination names on the server: made where the configuration says so, and only then. */
import type { Channel } from 'amqplib';
import type { RabbitmqSettings } from './keys.ts';

/** Without an effect on what is there already as it is to be; the server refuses another kind under the name. */
export async function declare(
  channel: Channel,
  { exchange, routingKey, declare: made }: Pick<RabbitmqSettings, 'exchange' | 'routingKey' | 'declare'>,
): Promise<void> {
  if (made.exchange !== null) await channel.assertExchange(exchange, made.exchange, { durable: true });
  if (made.queue !== null)
    await channel.assertQueue(routingKey, { durable: true, arguments: { 'x-queue-type': made.queue } });
}
