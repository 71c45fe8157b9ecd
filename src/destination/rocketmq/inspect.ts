/** Asks the proxy whether the topic is there and of the right kind. */
import type { Producer } from 'rocketmq-client-nodejs';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import { rocketmqFailure } from './answers.ts';
import type { RocketmqSettings } from './keys.ts';
import { prepareProxy, RocketmqLink } from './proxy.ts';

const inspectMs = 8_000;
const fifo = 2;
const normal = 1;

export async function inspectRocketmq(
  settings: RocketmqSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const { topic, group } = settings;
  const proxy = prepareProxy(settings, services);
  const link = new RocketmqLink(proxy);
  const said = `${proxy.label} topic ${topic}`;
  if (!new Template(topic).isConstant)
    return [
      { level: 'ok', found: `${proxy.label}: topics differ by event (${topic}); not asked for`, hint: null },
    ];
  try {
    const route = await link.within(inspectMs, (producer) => routeOf(producer, topic));
    const takes = new Set(
      route.messageQueues.flatMap(({ acceptMessageTypesList }) => acceptMessageTypesList),
    );
    const wanted = group === null ? normal : fifo;
    if (takes.has(wanted))
      return [{ level: 'ok', found: `${said} is there, ${group === null ? 'normal' : 'FIFO'}`, hint: null }];
    return [
      {
        level: 'fail',
        found: `${said} is there, and takes no ${group === null ? 'normal' : 'FIFO'} messages`,
        hint:
          group === null && takes.has(fifo)
            ? "Give the destination group: '{key}', or use another topic."
            : 'Use another topic, or make it anew with +message.type=NORMAL or FIFO.',
      },
    ];
  } catch (error) {
    const { errorClass, message } = rocketmqFailure(error, { said, isConstant: true });
    const hint =
      errorClass === 'unknown-target'
        ? 'Make the topic (mqadmin updateTopic), or correct the name.'
        : 'Is the proxy there, and is the login its own?';
    return [{ level: 'fail', found: message, hint }];
  } finally {
    await link.close();
  }
}

/** The client asks for it before its first message to a topic; it has no other question. */
function routeOf(producer: Producer, topic: string) {
  const asking = producer as unknown as {
    readonly getRouteData: (topic: string) => Promise<Route>;
  };
  return asking.getRouteData(topic);
}

interface Route {
  readonly messageQueues: readonly { readonly acceptMessageTypesList: readonly number[] }[];
}
