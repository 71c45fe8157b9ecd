import { rowsOf, type Queryable } from './connect.ts';

/** A sequence that would give again what its table already holds, or what was given before. */
export interface SequenceBehind {
  /** `audit_id_seq` */
  readonly sequence: string;
  /** What it gave last; 0 when nothing. */
  readonly last: number;
  /** The largest in its table, or the height noted earlier. */
  readonly largest: number;
}

/** As a cut-over by logical replication leaves them: it copies rows, and no sequences. */
export async function sequencesBehind(db: Queryable): Promise<SequenceBehind[]> {
  return rowsOf<SequenceBehind>(
    db,
    'select sequence, last::float8 as last, largest::float8 as largest from outbox.sequences_behind()',
  );
}

/** Sets what is behind above its table, and notes how far `outbox-sequence` is; answers what was behind. */
export async function healSequences(db: Queryable): Promise<SequenceBehind[]> {
  return rowsOf<SequenceBehind>(
    db,
    'select sequence, last::float8 as last, largest::float8 as largest from outbox.heal_sequences()',
  );
}
