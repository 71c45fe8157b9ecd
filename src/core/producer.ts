/**
 * A producer of half messages once outbox.yaml has been read: whom to ask what became of a message that was prepared and
 * neither committed nor rolled back. Stored by `config apply` in `outbox.producers.config`.
 */
import type { CredentialsConfig, SigningConfig } from './httpCredentials.ts';
import type { TlsCredentials } from './tls.ts';

export interface ProducerConfig {
  readonly name: string;
  /** From prepare to the first check-back. */
  readonly graceMs: number;
  /** Delays after the 1st, 2nd, … check-back that told nothing; after the one that follows the last delay the message is parked. */
  readonly scheduleMs: readonly number[];
  readonly checkBack: CheckBackConfig;
}

export type CheckBackConfig = HttpCheckBackConfig | HandlerCheckBackConfig;

export interface HttpCheckBackConfig {
  readonly kind: 'http';
  /** As written, `${X}` unexpanded. */
  readonly url: string;
  /** Total deadline of one check-back. */
  readonly timeoutMs: number;
  readonly signing: SigningConfig | null;
  readonly auth: CredentialsConfig | null;
  readonly network: { readonly allowPrivate: boolean };
  /** For https; absent for the authorities of Node and no certificate of ours. */
  readonly tls?: TlsCredentials;
  /** As written: an address, `env:NAME`, or `none`; absent for none. */
  readonly proxy?: string;
}

export interface HandlerCheckBackConfig {
  readonly kind: 'handler';
  /** The name under which a worker has it: `createWorker({ checkBacks: { name: fn } })`. */
  readonly handler: string;
  readonly timeoutMs: number;
}

export type CheckBackAnswer = 'committed' | 'rolled-back' | 'unknown';

export const checkBackAnswers: readonly CheckBackAnswer[] = ['committed', 'rolled-back', 'unknown'];

/** What a producer is asked about. */
export interface CheckBackQuestion {
  readonly id: string;
  readonly producer: string;
  readonly type: string;
  readonly key: string | null;
  readonly subject: string | null;
  /** ISO 8601. */
  readonly preparedAt: string;
  /** 1 for the first time. */
  readonly check: number;
}

/** The delay after check-back number `check` (from 1) told nothing; null: it was the last, the message is parked. */
export function nextCheckDelayMs({ scheduleMs }: ProducerConfig, check: number): number | null {
  return scheduleMs[check - 1] ?? null;
}

/** Check-backs at most, the first one included. */
export function maximumChecks({ scheduleMs }: ProducerConfig): number {
  return scheduleMs.length + 1;
}
