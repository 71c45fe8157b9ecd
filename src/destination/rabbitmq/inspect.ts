/** Asks the server whether exchange or queue is there. */
import type { DestinationConfig } from '../../core/destination.ts';
import { errorText } from '../shared/networkErrors.ts';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import type { RabbitmqSettings } from './keys.ts';
import { RabbitmqConnection } from './connection.ts';
import { prepareServer } from './server.ts';
import { declare as makeTargets } from './targets.ts';
import { counted } from '../../core/counted.ts';

export async function inspectRabbitmq(
  { exchange, routingKey, declare, ...settings }: DestinationConfig & RabbitmqSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const server = prepareServer({ exchange, routingKey, declare, ...settings }, services);
  const connection = new RabbitmqConnection(server);
  try {
    const channel = await connection.confirmChannel();
    channel.on('error', () => undefined);
    const template = new Template(routingKey);
    if (exchange !== '') {
      await channel.checkExchange(exchange);
      // It is there, so that nothing is made; the server says when it is of another kind.
      await makeTargets(channel, { exchange, routingKey, declare });
      const kind = declare.exchange === null ? '' : `, ${declare.exchange}`;
      return [found(`${server.label}: exchange ${exchange} is there${kind}`)];
    }
    if (!template.isConstant)
      return [found(`${server.label} answers; its queues differ by event (${routingKey})`)];
    const { consumerCount } = await channel.checkQueue(routingKey);
    await makeTargets(channel, { exchange, routingKey, declare });
    return [found(`${server.label}: queue ${routingKey} is there, ${counted(consumerCount, 'consumer')}`)];
  } catch (error) {
    return [
      missing(error, { label: server.label, exchange, routingKey, made: declare.exchange ?? declare.queue }),
    ];
  } finally {
    await connection.close();
  }
}

function found(text: string): Inspection {
  return { level: 'ok', found: text, hint: null };
}

function missing(
  error: unknown,
  about: {
    readonly label: string;
    readonly exchange: string;
    readonly routingKey: string;
    readonly made: string | null;
  },
): Inspection {
  const { code } = error as { readonly code?: unknown };
  const what = about.exchange === '' ? `queue ${about.routingKey}` : `exchange ${about.exchange}`;
  if (code === 406)
    return {
      level: 'fail',
      found: `${about.label}: ${what} is there, and not as declare has it: ${errorText(error)}`,
      hint: 'Write what is there under declare, or leave declare out.',
    };
  if (code !== 404)
    return { level: 'fail', found: errorText(error), hint: 'Is the server there, and is the login its own?' };
  if (about.made !== null) return found(`${about.label}: no ${what} yet; it is made at the first event`);
  return {
    level: 'fail',
    found: `${about.label}: there is no ${what}`,
    hint: `Correct the name, make it on the server, or have it made: declare: { ${about.exchange === '' ? 'queue: quorum' : 'exchange: topic'} }.`,
  };
}
