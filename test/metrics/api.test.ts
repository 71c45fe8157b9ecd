/** What the HTTP API was asked, where both it and /metrics are served. */
import { expect, test } from 'vitest';
import { parseListen } from '../../src/core/listen.ts';
import { uuid7 } from '../../src/halfMessages/message.ts';
import { ask, token } from '../api/support.ts';
import { createTestDatabase, eventually, startRun } from '../support/index.ts';
import { scrape } from './scrape.ts';

const listen = parseListen('127.0.0.1:0');
const requests = 'outbox_api_requests_total';

test('requests are counted by route and status; an address where there is nothing is one of them', async () => {
  const database = await createTestDatabase();
  const running = await startRun({
    databaseUrl: database.url,
    metricsListen: listen,
    apiListen: listen,
    env: { OUTBOX_API_TOKEN: token },
    roles: { relay: true, worker: false },
  });
  const api = running.endpoints['api'] ?? '';
  const write = {
    method: 'POST',
    body: JSON.stringify({ id: uuid7(), type: 'order.created', payload: { total: 1 } }),
  };
  const answers = [
    await ask(`${api}/v1/events`, write),
    await ask(`${api}/v1/events`, write),
    await ask(`${api}/v1/events`, { ...write, headers: { authorization: 'Bearer wrong' } }),
    await ask(`${api}/v1/messages/${uuid7()}`),
    await ask(`${api}/v1/messages/${uuid7()}/commit`, { method: 'POST' }),
    await ask(`${api}/v1/elsewhere/1`, { method: 'POST' }),
    await ask(`${api}/v1/elsewhere/2`, { method: 'POST' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([201, 200, 401, 404, 404, 404, 404]);
  // Counted when the answer is out, which may be after it has arrived.
  await eventually(async () => {
    const { series } = await scrape(running.endpoints['metrics']);
    const counted = series
      .filter(({ name }) => name === requests)
      .map(({ labels, value }) => [labels['method'], labels['route'], labels['status'], value]);
    expect(counted.toSorted()).toEqual([
      ['GET', '/v1/messages/:id', '404', 1],
      ['POST', '/v1/events', '200', 1],
      ['POST', '/v1/events', '201', 1],
      ['POST', '/v1/events', '401', 1],
      ['POST', '/v1/messages/:id/commit', '404', 1],
      ['_other', '_other', '404', 2],
    ]);
    const durations = series.filter(({ name }) => name === 'outbox_api_request_duration_seconds_count');
    expect(durations.reduce((sum, { value }) => sum + value, 0)).toBe(answers.length);
  });
});
