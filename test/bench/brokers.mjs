/** The brokers that the tests start, for the benchmark: their launchers are TypeScript, which vite turns into what Node runs. */
import { createServer } from 'vite';

export const brokerNames = ['rabbitmq', 'kafka', 'nats', 'rocketmq'];
/** Those from which only the consumers are compared. */
export const queueNames = ['rocketmq', 'redis', 'elasticmq'];

/**
 * @returns `launch(name)`, with `place({ ordered })` of settings for a destination and a consumer, `startQueues(name)`, with `queue({ ordered })`
 *   of settings for a consumer and `put(messages)`, and `close()`
 */
export async function openBrokers() {
  const root = new URL('../..', import.meta.url).pathname;
  const vite = await createServer({
    ...{ root, configFile: false, appType: 'custom', logLevel: 'error' },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  const { brokers } = await vite.ssrLoadModule('/test/destinationTypes/volume/brokers.ts');
  const startQueues = async (name) => {
    const server = await vite.ssrLoadModule(`/test/consumer/servers/${name}.ts`);
    return server[`start${name[0].toUpperCase()}${name.slice(1)}`]();
  };
  return { launch: (name) => brokers[name].launch(), startQueues, close: () => vite.close() };
}
