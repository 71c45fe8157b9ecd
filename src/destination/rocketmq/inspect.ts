/** Asks the proxy whether the topic is there and of the right kind. */
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import { rocketmqFailure } from './answers.ts';
import type { RocketmqSettings } from './keys.ts';
import { readHostPorts } from '../shared/hostPorts.ts';
import { prepareProxy, RocketmqLink } from './proxy.ts';
import { acceptedTypes, messageTypes } from './route.ts';

const inspectMs = 8_000;

export async function inspectRocketmq(
  settings: RocketmqSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const { topic, group } = settings;
  const proxy = prepareProxy(settings, services, readHostPorts);
  const link = new RocketmqLink(proxy);
  const said = `${proxy.label} topic ${topic}`;
  if (!new Template(topic).isConstant)
    return [
      { level: 'ok', found: `${proxy.label}: topics differ by event (${topic}); not asked for`, hint: null },
    ];
  try {
    const takes = await link.within(inspectMs, (producer) => acceptedTypes(producer, topic));
    const wanted = group === null ? messageTypes.normal : messageTypes.fifo;
    if (takes.has(wanted))
      return [{ level: 'ok', found: `${said} is there, ${group === null ? 'normal' : 'FIFO'}`, hint: null }];
    return [
      {
        level: 'fail',
        found: `${said} is there, and takes no ${group === null ? 'normal' : 'FIFO'} messages`,
        hint:
          group === null && takes.has(messageTypes.fifo)
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
