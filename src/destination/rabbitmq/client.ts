import type { Client } from '../shared/clients.ts';

export const amqplib: Client = { package: 'amqplib', versions: '>=2.3 <3' };
