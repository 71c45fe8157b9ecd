/** The kinds of half messages that are run side by side: the one place that says what each must come to. */

/** Of each kind. */
export const each = Number(process.env['HALF_MESSAGES'] ?? 300);

/** Calls a producer has under way. */
export const atOnce = 10;

export interface Kind {
  /** A way of `halfMessageProducer.mjs`. */
  readonly mode: string;
  /** Produced while Temporal is stopped. */
  readonly withoutTemporal?: true;
  /** What its calls come to, as the producer tells it before it is killed: how many of each. */
  readonly told: Readonly<Record<string, number>>;
  /** Orders in the producer's database. */
  readonly orders: number;
  /** How its messages end, and by whom. */
  readonly ends: Readonly<Record<string, number>>;
}

/** Who decides what nobody knows. */
export const person = 'ada';

const third = Math.floor(each / 3);

/** What a producer is told that cannot reach the outbox. */
const notBegun = 'Your transaction was not begun: nothing of yours has changed.';
const toldOfApi = `OUTBOX_API_UNREACHABLE: ${notBegun} Check the address, and that \`temporal-outbox run\` or \`api\` serves there. Every call may be repeated.`;
const toldOfPostgres = `OUTBOX_POSTGRES_UNREACHABLE: ${notBegun} Check OUTBOX_DATABASE_URL, and that the server is up.`;
const toldByApi = `OUTBOX_POSTGRES_UNREACHABLE: ${notBegun} Try again a little later; the log of whoever serves the API says why.`;

export const kinds: Readonly<Record<string, Kind>> = {
  commit: {
    mode: 'commit',
    told: { told: each },
    orders: each,
    ends: { 'committed by producer': each },
  },
  rollback: {
    mode: 'rollback',
    told: { 'out of stock': each },
    orders: 0,
    ends: { 'rolled-back by producer': each },
  },
  /** Killed before the local commit. */
  before: {
    mode: 'before',
    told: { 'in its transaction': atOnce, prepared: each - atOnce },
    orders: 0,
    ends: { 'rolled-back by check-back': each },
  },
  /** Killed after it, before telling. */
  after: {
    mode: 'after',
    told: { committed: each },
    orders: each,
    ends: { 'committed by check-back': each },
  },
  /** Told, and the answer lost. */
  unanswered: {
    mode: 'unanswered',
    told: { untold: each },
    orders: each,
    ends: { 'committed by producer': each },
  },
  /** Prepared, and the answer lost: to the producer it looks as if the outbox were away. */
  halfPrepared: {
    mode: 'halfPrepared',
    told: { [toldOfApi]: each },
    orders: 0,
    ends: { 'rolled-back by check-back': each },
  },
  /** Every check-back is answered with "unknown": people decide, half of them so and half so. */
  unknown: {
    mode: 'silent',
    told: { prepared: each },
    orders: 0,
    ends: { [`committed by ${person}`]: each / 2, [`rolled-back by ${person}`]: each / 2 },
  },
  /** Begins its transaction when a check-back has answered for good that there is none. */
  late: {
    mode: 'late',
    told: {
      'OUTBOX_MESSAGE_SETTLED: A check-back has answered for it, and nothing was changed. Begin again with a new message.':
        each,
    },
    orders: 0,
    // By the check-back that it waited for, unless the producer's own rollback, sent when it has failed, comes between marker and answer.
    ends: { 'rolled-back by whoever was first': each },
  },
  /** The outbox is away: its PostgreSQL, its API, or the PostgreSQL behind the API. */
  unreachable: {
    mode: 'unreachable',
    told: { [toldOfPostgres]: each - 2 * third, [toldOfApi]: third, [toldByApi]: third },
    orders: 0,
    ends: {},
  },
  commitWithoutTemporal: {
    mode: 'commit',
    withoutTemporal: true,
    told: { told: each },
    orders: each,
    ends: { 'committed by producer': each },
  },
  /** Falls due while Temporal is stopped. */
  afterWithoutTemporal: {
    mode: 'after',
    withoutTemporal: true,
    told: { committed: each },
    orders: each,
    ends: { 'committed by check-back': each },
  },
};

export function kindsThat(withoutTemporal: boolean): string[] {
  return Object.keys(kinds).filter((kind) => (kinds[kind]?.withoutTemporal ?? false) === withoutTemporal);
}
