import type { Settings } from '../../storage/configuration.ts';
import { connect, type Pool } from '../../storage/connect.ts';
import {
  acceptHome,
  isHome,
  knowsMark,
  makeMark,
  settleRestored,
  workflowsWithRows,
} from '../../storage/recovery.ts';
import type { Temporal } from '../../temporal/connect.ts';
import { claimNamespace, requireClaim, restoredDatabase } from '../../temporal/namespace.ts';
import { recheckAll, runningQuery } from '../../temporal/recheck.ts';
import type { Output } from '../output.ts';
import { connectPatiently, patiently } from '../patience.ts';
import { failedBy, ok, warn, type Finding } from './finding.ts';
import { counted } from '../../core/counted.ts';

const check = 'origin';

/** Whether this database is the one that has worked with the namespace so far. With `restored` it is from now on. */
export async function checkOrigin(
  url: string,
  settings: Settings,
  temporal: Temporal,
  restored: boolean,
  out: Output,
): Promise<Finding> {
  const pool = restored ? connectPatiently(url, 1) : connect(url, { max: 1 });
  try {
    if (!restored) return await look(pool, settings, temporal, out);
    return await patiently(out, url, pool, () => goOn(pool, settings, temporal, out));
  } catch (error) {
    return failedBy(check, error);
  } finally {
    await pool.end();
  }
}

async function look(
  pool: Pool,
  { name, databaseId }: Settings,
  temporal: Temporal,
  out: Output,
): Promise<Finding> {
  if (!(await isHome(pool))) throw restoredDatabase('it lives elsewhere than before');
  await requireClaim(temporal, name, { databaseId, knows: (mark) => knowsMark(pool, mark), warn: out.warn });
  return ok(check, 'no copy: the namespace knows this database as it is');
}

/** Safe to repeat: broken off half-way, `run` goes on refusing to start. */
async function goOn(
  pool: Pool,
  { name, databaseId }: Settings,
  temporal: Temporal,
  out: Output,
): Promise<Finding> {
  const returned = await settleRestored(pool);
  const { asked, unlisted } = await recheckAll(
    temporal,
    name,
    () => workflowsWithRows(pool),
    (count) => out.note(`asked ${counted(count, 'workflow')} to look again …`),
  );
  const knows = (mark: string): Promise<boolean> => knowsMark(pool, mark);
  await claimNamespace(temporal, name, {
    databaseId,
    mark: await makeMark(pool),
    knows,
    warn: out.warn,
    restored: true,
  });
  await acceptHome(pool);
  const found = `work goes on in this database; back to pending: ${counted(returned, 'delivery')}; asked to look again: ${counted(asked, 'workflow')}`;
  if (unlisted === null) return ok(check, found);
  return warn(
    check,
    `${found}; Temporal listed none (${unlisted}), so those that hold nothing any more were not asked`,
    'They do no harm, and end when asked. Once Temporal lists workflows again: temporal workflow signal --name recheck ' +
      `--reason restored --rps 50 --query '${runningQuery(name)}'`,
  );
}
