/**
 * What tests are made of: real servers, real HTTP. Everything opened here is closed when the test, or the file whose
 * `beforeAll` opened it, ends.
 *
 * @example
 * const database = await createTestDatabase();
 * const receiver = await startReceiver({ answer: inTurn(503, 204) });
 * await applyTestConfig(database, `
 *   destinations: { billing: { type: http, url: '${receiver.url}', retry: { initialInterval: 100ms } } }
 *   routes: [{ match: '*', to: [billing] }]`);
 * await startRun({ databaseUrl: database.url });
 * const { id } = await enqueue(database.pool, { type: 'order.created', payload: { total: 1 } }, { ownTransaction: true });
 * await eventually(() => expect(receiver.of(id)).toHaveLength(2));
 */
export { atEnd } from './cleanup.ts';
export { applyTestConfig, createTestDatabase, uniqueName, type TestDatabase } from './database.ts';
export { eventually, type Patience } from './eventually.ts';
export {
  inTurn,
  startReceiver,
  verify,
  type Answer,
  type ReceivedRequest,
  type Receiver,
  type ReceiverOptions,
  type Script,
} from './receiver.ts';
export {
  quietLog,
  runCli,
  spawnRun,
  startRun,
  temporalClient,
  type LoggedLine,
  type SpawnedRun,
  type SpawnOptions,
  type TestRun,
} from './running.ts';
export { requires } from './requires.ts';
export { servers, type TestServers } from './servers.ts';
export { startTcpProxy, type ProxyMode, type TcpProxy } from './tcpProxy.ts';
