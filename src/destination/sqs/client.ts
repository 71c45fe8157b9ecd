import type { Client } from '../shared/clients.ts';

export const sqsClient: Client = { package: '@aws-sdk/client-sqs', versions: '>=3 <4' };
