/** Keys of redis and rocketmq destinations, without a server. */
import { expect, test } from 'vitest';
import { explained, fileWith } from './opened.ts';
import { problemsIn } from './support.ts';

const said = (type: string, lines: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  problemsIn(fileWith(type, lines), [], env).map(({ key, message }) => `${key}: ${message}`);

test('keys of rocketmq are checked, and explain shows what a sample event becomes', () => {
  expect(
    said(
      'rocketmq',
      ['endpoints: http://proxy.test', "topic: 'a.b'", "group: '{kee}'", 'auth: { accessKey: env:A }'],
      { A: 'some-key' },
    ),
  ).toEqual([
    expect.stringContaining('destinations.stock.endpoints: expected host:port, without the scheme http://'),
    expect.stringContaining('destinations.stock.topic: expected the name of a topic'),
    expect.stringContaining('did you mean {key}?'),
    expect.stringContaining('destinations.stock.auth'),
  ]);
  const text = explained('rocketmq', ["endpoints: '${PROXY}'", 'topic: settlement', "group: '{key}'"], {
    PROXY: 'one.test:8081;two.test:8081',
  });
  expect(text).toContain('one.test:8081, two.test:8081, FIFO topic settlement, group {key}');
  expect(text).toContain('goes to topic settlement in group customer-42');
});

test('keys of redis are checked, and explain shows what a sample event becomes', () => {
  expect(
    said('redis', ['url: http://redis.test', "stream: '{kee}'", 'wait: { replicas: 0 }', 'maxlength: 5']),
  ).toEqual(
    expect.arrayContaining([
      expect.stringContaining('destinations.stock.url: expected an address such as redis://host'),
      expect.stringContaining('destinations.stock.wait.replicas: expected a whole number from 1'),
      expect.stringContaining('did you mean maxLength?'),
    ]),
  );
  const text = explained('redis', ['url: env:REDIS_URL', "stream: 'audit.{type}'"], {
    REDIS_URL: 'redis://me:s3cr3t@redis.test:6379/2',
  });
  expect(text).toContain('redis://redis.test:6379/2, stream audit.{type}');
  expect(text).toContain('goes to stream audit.order.created');
  expect(text).not.toContain('s3cr3t');
});
