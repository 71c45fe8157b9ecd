import type { Client } from '../shared/clients.ts';

export const kafkaClient: Client = { package: '@platformatic/kafka', versions: '>=1.35 <3' };
