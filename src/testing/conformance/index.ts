/** The suite that holds a destination type to what ours are held to; docs/destination-types.md shows how to run it. */
export { destinationConformance, type ConformanceOptions, type Runner } from './suite.ts';
export type { Case, Harness, HarnessServer, Received, Settings, Topic, Trust } from './harness.ts';
export type { RowName } from './rowNames.ts';
export type { OutboxServers } from './rows/circuit.ts';
export { openWire, type Wire, type WireMode } from './wire.ts';
