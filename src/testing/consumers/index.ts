/** The suite that holds consumers of a broker to what ours are held to; docs/consuming.md shows how to run it. */
export { consumerConformance, type ConsumerConformanceOptions } from './suite.ts';
export type { ConsumerHarness, ConsumerRowName, ConsumerServer, PutMessage, TestQueue } from './harness.ts';
