/** `inbox parked list` and `show`: messages of queues that wait for a person, in the consumer's database. */
import { printable } from '../../core/printable.ts';
import { listParked, showParked, type ParkedDetail, type ParkedMessage } from '../../inbox/parked.ts';
import { withConsumer, type InboxOptions } from '../commands/inbox.ts';
import type { Output } from '../output.ts';
import { shortTime } from '../spokenTime.ts';
import { cut, facts, table } from '../table.ts';

export interface ParkedListOptions extends InboxOptions {
  readonly consumer?: string;
  readonly state?: ParkedMessage['state'];
  readonly limit: number;
  readonly after?: string;
}

export async function parkedList(out: Output, options: ParkedListOptions): Promise<void> {
  const { consumer, state, after, limit } = options;
  await withConsumer(out, options, async (pool) => {
    // One more than asked for tells whether there is a next page.
    const found = await listParked(pool, {
      ...(consumer === undefined ? {} : { consumer }),
      ...(state === undefined ? {} : { state }),
      ...(after === undefined ? {} : { after }),
      limit: limit + 1,
    });
    const items = found.slice(0, limit);
    const next = found.length > items.length ? (items.at(-1)?.id ?? null) : null;
    out.result({ items, next }, (colours) => {
      if (items.length === 0) return 'no parked messages\n';
      return table(columns, items, colours) + (next === null ? '' : `\nmore: --after ${next}\n`);
    });
  });
}

const columns = [
  { title: 'ID', align: 'right' as const, value: ({ id }: ParkedMessage) => id },
  { title: 'ARRIVED (UTC)', value: ({ arrivedAt }: ParkedMessage) => shortTime(arrivedAt) },
  { title: 'CONSUMER', value: ({ consumer }: ParkedMessage) => cut(printable(consumer), 30) },
  { title: 'FROM', value: ({ source }: ParkedMessage) => cut(printable(source), 40) },
  { title: 'TYPE', value: ({ type }: ParkedMessage) => cut(printable(type ?? ''), 40) },
  { title: 'STATE', value: ({ state, resolution }: ParkedMessage) => resolution ?? state },
  { title: 'WHY', value: ({ reason }: ParkedMessage) => reason ?? '' },
  { title: 'LAST ERROR', value: ({ lastError }: ParkedMessage) => cut(printable(lastError ?? ''), 60) },
];

export async function parkedShow(out: Output, id: string, options: InboxOptions): Promise<void> {
  await withConsumer(out, options, async (pool) => {
    const found = await showParked(pool, id);
    const { body, ...rest } = found;
    out.result({ ...rest, ...payloadOf(found) }, (colours) => {
      const lines = facts(
        [
          ['message', found.messageId ?? '(none)'],
          ['consumer', `${found.consumer}, from ${found.source}`],
          ['type', found.type ?? ''],
          ['key', found.key ?? ''],
          ['state', found.resolution ?? found.state],
          ['why', [found.reason, found.lastError].filter((each) => each !== null).join(': ')],
          ['attempts', `${found.failed} charged`],
          ['arrived', found.arrivedAt],
          ...found.audit.map(({ at, action, actor, reason, outcome }): [string, string] => [
            at,
            `${action} by ${actor}${reason === null ? '' : ` (${reason})`}: ${outcome}`,
          ]),
          ...Object.entries(found.headers).map(([name, value]): [string, string] => [
            `header ${name}`,
            value,
          ]),
          ['payload', `${body.length} bytes, ${found.contentType ?? 'of no content type'}`],
        ].filter(([, value]) => value !== '') as [string, string][],
        colours,
      );
      const { payloadText } = payloadOf(found);
      return `${lines}\n${payloadText === undefined ? '(bytes: --json shows them in base64)' : printable(payloadText, 4000)}\n`;
    });
  });
}

function payloadOf({ body }: ParkedDetail): { payloadText?: string; payloadBase64?: string } {
  const bytes = Buffer.from(body);
  const payloadText = bytes.toString();
  // Text that comes back to the same bytes is text.
  return Buffer.from(payloadText).equals(bytes)
    ? { payloadText }
    : { payloadBase64: bytes.toString('base64') };
}
