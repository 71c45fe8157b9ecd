/** For commands that change much or wait for locks: no limit of ours, but word of what they wait for, and a way out. */
import { closedPipeEvent, exitCodes } from './interruption.ts';
import type pg from 'pg';
import { OutboxError } from '../errors.ts';
import { connect, rowsOf, type Pool } from '../storage/connect.ts';
import { didBreakUnderWay } from '../storage/errors.ts';
import type { Output } from './output.ts';
import { describeAge } from './spokenTime.ts';
import { printable } from '../core/printable.ts';

const everyMs = 500;
/** Shorter is no wait. */
const firstWordMs = 5_000;
const nextWordMs = 10_000;

/** A pool whose statements may take as long as they need. */
export function connectPatiently(url: string, max: number): Pool {
  return connect(url, {
    applicationName: 'temporal-outbox-cli',
    max,
    patienceMs: { connect: 10_000, answer: null },
  });
}

/**
 * Does the work and says every now and then, on stderr, what it waits for. Ctrl-C and SIGTERM cancel on the server what is under way,
 * a second one ends the process.
 * @throws OutboxError OUTBOX_INTERRUPTED; OUTBOX_OUTCOME_UNKNOWN when the connection broke in the middle of a statement
 */
export async function patiently<T>(
  out: Output,
  url: string,
  pool: Pool,
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  const watch = new Watch(out, url, pool);
  try {
    return await work(pool);
  } catch (error) {
    if (watch.interrupted) throw interrupted(error);
    throw isUnknown(error) ? unknownOutcome(error) : error;
  } finally {
    await watch.end();
  }
}

class Watch {
  interrupted = false;
  readonly #out: Output;
  readonly #url: string;
  readonly #busy = new Map<pg.PoolClient, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #signals = [...Object.keys(exitCodes), closedPipeEvent];
  #pool: Pool | undefined;
  #looking: Promise<void> | undefined;
  #nextWordAt: number | undefined;

  constructor(out: Output, url: string, pool: Pool) {
    this.#out = out;
    this.#url = url;
    pool.on('acquire', (client) => this.#busy.set(client, performance.now()));
    pool.on('release', (_error, client) => this.#busy.delete(client));
    pool.on('remove', (client) => this.#busy.delete(client));
    this.#timer = setInterval(() => this.#round(), everyMs);
    for (const name of this.#signals) process.on(name, this.#interrupt);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    for (const name of this.#signals) process.off(name, this.#interrupt);
    await this.#looking;
    await this.#pool?.end();
  }

  readonly #interrupt = (name: string): void => {
    if (this.interrupted) process.exit(exitCodes[name] ?? 0);
    this.interrupted = true;
    this.#out.note('interrupted: cancelling what is under way; a second signal ends at once');
    this.#round();
  };

  #round(): void {
    // One look at a time; until the work is over each cancels what is under way by then.
    this.#looking ??= (this.interrupted ? this.#cancel() : this.#tell())
      .catch(() => undefined)
      .finally(() => (this.#looking = undefined));
  }

  async #cancel(): Promise<void> {
    await this.#own.query('select pg_cancel_backend(pid) from unnest($1::int[]) pid', [this.#pids()]);
  }

  async #tell(): Promise<void> {
    const now = performance.now();
    const since = Math.min(...this.#busy.values());
    if (now - since < firstWordMs) return void (this.#nextWordAt = undefined);
    if (this.#nextWordAt !== undefined && now < this.#nextWordAt) return;
    this.#nextWordAt = now + nextWordMs;
    const blockers = await blockersOf(this.#own, this.#pids()).catch(() => []);
    const [first] = blockers;
    const what =
      first === undefined
        ? 'PostgreSQL is at work'
        : `waits for a lock held by pid ${first.pid} (${printable(first.who)}, ${first.state}` +
          `${first.ageMs === null ? '' : ` for ${describeAge(first.ageMs)}`})` +
          `${blockers.length > 1 ? ` and ${blockers.length - 1} more` : ''}`;
    this.#out.note(`still under way after ${Math.round((performance.now() - since) / 1000)} s: ${what}`);
  }

  #pids(): number[] {
    return Array.from(this.#busy.keys(), (client) => (client as unknown as { processID: number }).processID);
  }

  get #own(): Pool {
    return (this.#pool ??= connect(this.#url, {
      applicationName: 'temporal-outbox-cli watching',
      max: 1,
      patienceMs: { connect: 5_000, answer: 5_000 },
    }));
  }
}

interface Blocker {
  readonly pid: number;
  readonly who: string;
  readonly state: string;
  /** Since its transaction began; null where this user may not see it. */
  readonly ageMs: number | null;
}

function blockersOf(db: Pool, pids: readonly number[]): Promise<Blocker[]> {
  return rowsOf<Blocker>(
    db,
    `select b.pid, coalesce(nullif(b.application_name, '') || ', ', '') || coalesce(b.usename, '?') as who, coalesce(b.state, 'at work') as state,
            (extract(epoch from clock_timestamp() - b.xact_start) * 1000)::float8 as "ageMs"
     from pg_stat_activity b
     where b.pid in (select unnest(pg_blocking_pids(pid)) from unnest($1::int[]) pid) order by b.xact_start nulls last`,
    [pids],
  );
}

function interrupted(cause: unknown): OutboxError {
  return new OutboxError(
    'OUTBOX_INTERRUPTED',
    'interrupted: what was under way is undone; what was done before it stays',
    { cause, hint: 'Run the command again to go on.' },
  );
}

/** No word of the server's: it may have finished, and only the answer be lost. An explained error has what was thrown for its cause. */
function isUnknown(error: unknown): boolean {
  const thrown =
    error instanceof OutboxError && error.code === 'OUTBOX_POSTGRES_UNREACHABLE' ? error.cause : error;
  const { code = '' } = (thrown ?? {}) as { code?: string };
  return didBreakUnderWay(thrown) && !/^(?!E)[0-9A-Z]{5}$/.test(code);
}

function unknownOutcome(cause: unknown): OutboxError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new OutboxError(
    'OUTBOX_OUTCOME_UNKNOWN',
    `the connection broke before PostgreSQL answered: what was under way may be done or not (${why})`,
    { cause, hint: 'Look whether it is, or run the command again: what was done is not done twice.' },
  );
}
