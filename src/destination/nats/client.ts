import type { Client } from '../shared/clients.ts';

export const transport: Client = { package: '@nats-io/transport-node', versions: '>=3.4 <4' };
export const jetstream: Client = { package: '@nats-io/jetstream', versions: '>=3.4 <4' };
