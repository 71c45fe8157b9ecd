import type { AppliedBefore } from '../inbox/claim.ts';
import type { Message } from '../inbox/message.ts';
import { ReceivedMessage } from '../receiver/message.ts';
import { attributeOf } from './identify.ts';
import type { Incoming } from './type.ts';

/** A message as the handler gets it: what it would get over HTTP, and what its queue knows. A handler for one serves the other. */
export class ConsumedMessage extends ReceivedMessage {
  /** Null where there is none. */
  readonly key: string | null;
  readonly contentType: string | null;
  /** Where it lay: `orders[3]@1042`. */
  readonly position: string;
  /** Aborted when the consumer stops and waits no longer. */
  readonly signal: AbortSignal;

  constructor(
    incoming: Incoming,
    facts: { readonly id: string; readonly key: string | null; readonly signal: AbortSignal },
    message: Message,
    replaces: AppliedBefore | null = null,
  ) {
    const { contentType, headers, body, position } = incoming;
    const type = attributeOf(incoming, 'type');
    super(
      facts.id,
      Math.floor(Date.now() / 1000),
      message,
      {
        ...(contentType === null ? {} : { 'content-type': contentType }),
        // However its broker's binding spells it.
        ...(type === null ? {} : { 'ce-type': type }),
        ...headers,
      },
      body,
      replaces,
    );
    this.key = facts.key;
    this.contentType = contentType;
    this.position = position;
    this.signal = facts.signal;
  }
}
