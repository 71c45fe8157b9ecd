/** How late each destination was, as a relay saw it; the overview shows the last hour. */
import { expect, test } from 'vitest';
import { readOverview } from '../../src/dashboard/views/overview.ts';
import { noteLags } from '../../src/storage/flow.ts';
import { databaseFor, startRelay, write } from '../relay/stage.ts';
import { eventually, startReceiver } from '../support/index.ts';
import { onlyWithEverything } from '../support/everything.ts';

test('what waits while nobody delivers is drawn, the worst of each minute', async (context) => {
  onlyWithEverything(context, 'it waits for the minutes that are drawn');
  const receiver = await startReceiver();
  const database = await databaseFor({ billing: receiver, stock: receiver });
  await write(database, 'billing.due');
  await startRelay(database);
  const lagOf = async (name: string): Promise<readonly number[]> => {
    const { destinations } = await readOverview(database.pool);
    return destinations.find((each) => each.destination === name)?.lag ?? [];
  };
  // A relay looks every 15 s.
  await eventually(async () => expect(Math.max(...(await lagOf('billing')))).toBeGreaterThan(5), {
    timeout: 40_000,
  });
  expect(await lagOf('billing')).toHaveLength(60);
  expect(Math.max(...(await lagOf('stock')))).toBe(0);
  await noteLags(database.pool, [{ destination: 'stock', lagSeconds: 900 }]);
  await noteLags(database.pool, [{ destination: 'stock', lagSeconds: 3 }]);
  expect(Math.max(...(await lagOf('stock')))).toBe(900);
});
