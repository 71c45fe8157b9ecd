import type { Client } from '../shared/clients.ts';

export const ioredis: Client = { package: 'ioredis', versions: '>=5.4 <7' };
