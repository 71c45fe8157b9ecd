/** The messages in what was fetched: without control records, and without those of transactions that were aborted. */
import type { Consumer } from '@platformatic/kafka';
import type { Fetched } from './partition.ts';

type FetchedPartition = Awaited<ReturnType<Consumer['fetch']>>['responses'][number]['partitions'][number];
type Batch = NonNullable<FetchedPartition['records']>[number];

const isControl = 0x20;
const isTransactional = 0x10;
const abortMarker = 0;

/** @param from what was asked for: batches begin before it */
export function messagesOf(
  { records: batches = [], abortedTransactions }: FetchedPartition,
  from: bigint,
): { readonly records: readonly Fetched[]; readonly next: bigint } {
  // The client filters too, but not where the end of a transaction is not in the same answer, nor two of one producer.
  const toCome = [...(abortedTransactions ?? [])].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborted = new Set<bigint>();
  const records: Fetched[] = [];
  let next = from;
  for (const batch of batches) {
    const last = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    while (toCome[0] !== undefined && toCome[0].firstOffset <= last) aborted.add(toCome.shift()!.producerId);
    if (last >= next) next = last + 1n;
    if ((batch.attributes & isControl) !== 0) {
      if (markerOf(batch) === abortMarker) aborted.delete(batch.producerId);
    } else if ((batch.attributes & isTransactional) === 0 || !aborted.has(batch.producerId))
      for (const record of batch.records) {
        const offset = batch.firstOffset + BigInt(record.offsetDelta);
        if (offset >= from) records.push({ offset, record });
      }
  }
  return { records, next };
}

function markerOf(batch: Batch): number | undefined {
  return batch.records[0]?.key?.readInt16BE(2);
}
