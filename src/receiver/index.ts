/**
 * temporal-outbox/receiver: verifies requests, has their effect once through the inbox, and answers as the sender understands.
 * Loads neither Temporal, nor a PostgreSQL driver, nor a web framework.
 */
export { createReceiver, type Receiver, type ReceiverOptions } from './receiver.ts';
export type { ReceiverRequest } from './request.ts';
export type { ReceivedMessage } from './message.ts';
export { Refusal, type Answer } from './answers.ts';
export { createVerifier, type VerifiedHeaders, type VerifierOptions, type Verify } from './signature.ts';
export type { FastifyReceiver, FastifyReceiverOptions } from './fastify.ts';
export type { FetchRequest } from './fetch.ts';
export type { HeaderSource } from './headers.ts';
export type { ReceiverClient, ReceiverPool } from './transaction.ts';
