import type { Client } from '../shared/clients.ts';

export const rocketmqClient: Client = { package: 'rocketmq-client-nodejs', versions: '>=1.0.8 <2' };
