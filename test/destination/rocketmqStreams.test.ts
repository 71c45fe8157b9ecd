import { setTimeout as sleep } from 'node:timers/promises';
import { Producer } from 'rocketmq-client-nodejs';
import { expect, onTestFinished, test } from 'vitest';
import { end, guardStreams, silent } from '../../src/destination/rocketmq/streams.ts';

test('while a proxy of RocketMQ is away its client opens one stream a second, not twice as many each time', async () => {
  // Nobody listens at port 1.
  const client = new Producer({ endpoints: '127.0.0.1:1', namespace: '', maxAttempts: 1, logger: silent });
  onTestFinished(() => end(client));
  let opened = 0;
  const open = client.createTelemetryStream.bind(client);
  client.createTelemetryStream = (endpoints) => {
    opened += 1;
    return open(endpoints);
  };
  guardStreams(client);
  const { endpoints } = client as unknown as {
    readonly endpoints: Parameters<Producer['getTelemetrySession']>[0];
  };
  client.getTelemetrySession(endpoints);

  await sleep(3_500);

  expect(opened).toBeGreaterThan(1);
  expect(opened).toBeLessThanOrEqual(4);
});
