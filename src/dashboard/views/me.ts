import { OutboxError } from '../../errors.ts';
import { listTokens, revokeToken } from '../../storage/tokens.ts';
import { version } from '../../version.ts';
import { endpoint } from '../endpoint.ts';
import { whyNot } from '../who.ts';
import * as z from 'zod';

const needs = ['look', 'payloads', 'act', 'admin'] as const;

export const meEndpoints = [
  endpoint({
    method: 'GET',
    path: '/me',
    operationId: 'readMe',
    summary: 'Who I am here, what I may, and why not the rest; and which outbox this is.',
    need: 'look',
    handle: async ({ who, config, name }) => ({
      ...who,
      /** By what it takes: null where I may, otherwise why not. */
      whyNot: Object.fromEntries(needs.map((need) => [need, whyNot(who, need)])),
      instance: {
        name,
        title: config.title ?? name ?? 'outbox',
        production: config.production,
        version: version(),
      },
    }),
  }),
];

export const tokenEndpoints = [
  endpoint({
    method: 'GET',
    path: '/tokens',
    operationId: 'listTokens',
    summary: 'Tokens that were made, revoked ones too; never the tokens themselves.',
    need: 'admin',
    handle: async ({ pool }) => ({ items: await listTokens(pool, 500) }),
  }),
  endpoint({
    method: 'POST',
    path: '/tokens/{token}/revoke',
    operationId: 'revokeToken',
    summary: 'Whoever has it is signed out within seconds.',
    need: 'admin',
    body: z.strictObject({}),
    handle: async ({ pool, params, who }) => {
      const id = Number(params['token']);
      if (!(await revokeToken(pool, id, who.name)))
        throw new OutboxError('OUTBOX_NOT_FOUND', `there is no token ${id}, or it was revoked before`);
      return { id, revoked: true };
    },
  }),
];
