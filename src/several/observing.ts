/** Metrics and health of several databases at one address. */
import type { ListenAddress } from '../core/listen.ts';
import { redactorFor } from '../core/redact.ts';
import type { Environment } from '../core/secrets.ts';
import { healthOf, type Check, type Look } from '../health/checks.ts';
import { familiesOf } from '../metrics/families.ts';
import { flag, gauge } from '../metrics/makers.ts';
import { mergeFamilies } from '../metrics/merged.ts';
import { serveObserved, type Observing } from '../observing.ts';
import type { Member } from './member.ts';

export function observeSeveral(
  members: readonly Member[],
  listen: ListenAddress | null,
  env: Environment,
): Observing {
  const redact = redactorFor(env);
  const inWords = (error: unknown): string => redact(error instanceof Error ? error.message : String(error));
  const perMember = (check: (member: Member) => Promise<Check>): Record<string, Look> =>
    Object.fromEntries(members.map((member) => [member.database, () => check(member)]));
  return serveObserved(
    () => read(members),
    {
      inWords,
      // A new process would help no database that none delivers for yet.
      alive: perMember(liveness),
      ready: perMember((member) => readiness(member, redact)),
      // One tenant's trouble takes nothing from the others: whoever is out of order is named here, and shows in the metrics.
      readyWhen: 'any',
    },
    listen,
    () => Promise.resolve(),
  );
}

async function read(members: readonly Member[]) {
  const parts = await Promise.all(
    members.map(async ({ database, watched }) => {
      const running = gauge(
        'outbox_running',
        'With several databases in one process: whether it delivers for this one, 1 or 0.',
        flag(watched !== undefined),
      );
      const scraped = await watched?.scrape();
      return {
        database,
        families: [running, ...(scraped === undefined ? [] : familiesOf(scraped))],
        cutOff: scraped?.cutOff === true,
      };
    }),
  );
  return { families: mergeFamilies(parts), cutOff: parts.some(({ cutOff }) => cutOff) };
}

async function liveness({ watched }: Member): Promise<Check> {
  return watched === undefined
    ? { ok: true, says: 'not running' }
    : inOne(watched.looks.alive, watched.looks.inWords);
}

async function readiness(member: Member, redact: (text: string) => string): Promise<Check> {
  const { watched } = member;
  if (watched === undefined) return { ok: false, says: redact(member.trouble) };
  return inOne(watched.looks.ready, watched.looks.inWords);
}

/** All its checks as one: what is wrong with the first that fails. */
async function inOne(
  looks: Readonly<Record<string, Look>>,
  inWords: (error: unknown) => string,
): Promise<Check> {
  const { ok, checks } = await healthOf(looks, inWords);
  const failed = Object.entries(checks).find(([, check]) => !check.ok);
  return failed === undefined ? { ok } : { ok, says: `${failed[0]}: ${failed[1].says ?? 'failed'}` };
}
