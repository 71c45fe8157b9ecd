/** The brokers that the tests start, for the benchmark: their launchers are TypeScript, which vite turns into what Node runs. */
import { createServer } from 'vite';

export const brokerNames = ['rabbitmq', 'kafka', 'nats', 'rocketmq'];

/** @returns `launch(name)`, with `place({ ordered })` of settings for a destination and a consumer, and `close()` */
export async function openBrokers() {
  const root = new URL('../..', import.meta.url).pathname;
  const vite = await createServer({
    ...{ root, configFile: false, appType: 'custom', logLevel: 'error' },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  const { brokers } = await vite.ssrLoadModule('/test/destinationTypes/volume/brokers.ts');
  return { launch: (name) => brokers[name].launch(), close: () => vite.close() };
}
