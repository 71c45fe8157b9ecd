import type { HeaderSource } from './headers.ts';

/** One request, as any framework can hand it over. */
export interface ReceiverRequest {
  readonly method: string;
  readonly headers: HeaderSource;
  /** The bytes as they came. */
  readonly body: Uint8Array;
}
