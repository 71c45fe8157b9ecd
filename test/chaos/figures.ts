/** A run in numbers. */
import { all, type Entry } from './history.ts';
import { countedRepeats, stormOf, stormsOf } from './repeats.ts';

export type Figures = Readonly<Record<string, string | number>>;

export function figures(entries: readonly Entry[], settledMs: number): Figures {
  const requests = all(entries, 'request');
  const samples = all(entries, 'sample');
  const repeats = countedRepeats(entries);
  const storms = stormsOf(entries);
  const audit = all(entries, 'audit').flatMap(({ lines }) => lines);
  const producers = all(entries, 'outcome');
  return {
    events: all(entries, 'rows').flatMap((rows) => rows.events).length,
    'transactions of unknown outcome': producers.filter(({ outcome }) => outcome === 'unknown').length,
    faults: all(entries, 'fault').length,
    requests: requests.length,
    'sent again after a 2xx': repeats.length,
    'after that was written': repeats.filter(({ late }) => late).length,
    'in calms': repeats.filter(({ firstMs }) => stormOf(storms, firstMs) < 0).length,
    'most in one storm': Math.max(
      0,
      ...storms.map((_, which) => repeats.filter(({ firstMs }) => stormOf(storms, firstMs) === which).length),
    ),
    'allowed by the faults': storms.reduce((sum, { allowed }) => sum + allowed.repeats, 0),
    'circuits opened': audit.filter(({ action }) => action === 'open').length,
    'effects in the bank': all(entries, 'effects').flatMap(({ booked }) => booked).length,
    'half messages': all(entries, 'intent').filter(({ events }) => events[0]?.type === 'half.created').length,
    'dead letters': all(entries, 'letters').flatMap((entry) => entry.letters).length,
    commands: all(entries, 'command').length,
    'slowest to settle, ms': Math.max(...all(entries, 'calm').map(({ afterMs }) => afterMs ?? Infinity)),
    'settled in the end after, ms': settledMs,
    'largest process, MiB': Math.max(...samples.flatMap(({ rssMiB }) => Object.values(rssMiB))),
    'most connections, calm': Math.max(...samples.map(({ calm, connections }) => (calm ? connections : 0))),
  };
}
