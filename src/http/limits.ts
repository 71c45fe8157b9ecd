/** What the HTTP API may take of its database and of its process, so that whoever calls it cannot hold delivery up. */
import type { FastifyReply } from 'fastify';
import type { SqlClient } from '../produce/enqueue.ts';
import { inTransaction, type Pool } from '../storage/connect.ts';
import { RequestRefused } from './problem.ts';

/** Connections of the API's own pool: in `run`, beside those of relay and worker; in `api`, all there are. */
export const apiConnections = { besideDelivery: 5, alone: 20 };

/** A request waits so long for a connection. */
export const apiPatienceMs = { connect: 2_000, answer: 10_000 };

/** A keyed event waits for the open transaction of another with its key. */
const lockMs = 2_000;
const statementMs = 5_000;

/** Requests worked on at once; each may have a body of 2 MiB in memory. */
export const requestsAtOnce = 100;

/**
 * The pool as the API uses it: each call in a transaction of its own, with limits that PostgreSQL keeps and that end with it, so that a pooler may stand
 * between.
 */
export function withLimits(pool: Pool): SqlClient {
  return {
    query: (text, values) =>
      inTransaction(pool, async (client) => {
        await client.query(
          `set local lock_timeout = ${lockMs}; set local statement_timeout = ${statementMs}`,
        );
        return client.query(text, values);
      }),
  };
}

/** Counts requests in, and out when their connection is done with them, answered or not. */
export class Turnstile {
  #inside = 0;

  /** @throws RequestRefused 429 while there are too many */
  enter(reply: FastifyReply): void {
    if (this.#inside >= requestsAtOnce)
      throw new RequestRefused(429, `${requestsAtOnce} requests are being answered already`, tryAgain);
    this.#inside++;
    reply.raw.once('close', () => void this.#inside--);
  }
}

const tryAgain = 'Send it again a little later, or fewer at once; nothing was written.';
