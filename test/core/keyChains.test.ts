import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyChains } from '../../src/core/keyChains.ts';

interface Row {
  readonly key: string;
  readonly seq: number;
}

const rowsOf = (keys: string): Row[] => Array.from(keys, (key, index) => ({ key, seq: index + 1 }));

describe('chains of keys', () => {
  it('begin a key’s next row when the one before it was acknowledged', () => {
    const chains = new KeyChains<number>();
    expect([chains.admit('a', 1), chains.admit('a', 2), chains.admit('b', 3), chains.admit('a', 4)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(chains.waiting).toBe(2);
    expect(chains.settled('a', true)).toBe(2);
    expect(chains.settled('a', true)).toBe(4);
    expect(chains.settled('a', true)).toBeUndefined();
    expect(chains.waiting).toBe(0);
    expect(chains.admit('a', 5)).toBe(true);
  });

  it('let nothing pass a row that failed, what comes later included', () => {
    const chains = new KeyChains<number>();
    chains.admit('a', 1);
    chains.admit('a', 2);
    expect(chains.settled('a', false)).toBeUndefined();
    expect(chains.waiting).toBe(0);
    expect(chains.admit('a', 3)).toBe(false);
    expect(chains.admit('b', 4)).toBe(true);
  });

  it('keep every key in order and one at a time, whatever fails and whenever answers come', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), maxLength: 60 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
        (keys, picks, verdicts) => {
          const rows = rowsOf(keys);
          const chains = new KeyChains<Row>();
          const underWay: Row[] = [];
          const begun: Row[] = [];
          const failed = new Map<string, number>();
          const begin = (row: Row): void => {
            expect(underWay.map(({ key }) => key)).not.toContain(row.key);
            underWay.push(row);
            begun.push(row);
          };
          let turn = 0;
          const settleOne = (): void => {
            const [row] = underWay.splice((picks[turn % picks.length] ?? 0) % underWay.length, 1);
            if (row === undefined) return;
            const fine = verdicts[turn % verdicts.length] ?? true;
            turn++;
            if (!fine) failed.set(row.key, row.seq);
            const next = chains.settled(row.key, fine);
            if (next !== undefined) begin(next);
          };
          for (const row of rows) {
            if (chains.admit(row.key, row)) begin(row);
            // Answers come while rows are still being loaded.
            if ((picks[row.seq % picks.length] ?? 0) % 3 === 0) settleOne();
          }
          while (underWay.length > 0) settleOne();
          expect(chains.waiting).toBe(0);
          for (const key of new Set(keys)) {
            const limit = failed.get(key) ?? Infinity;
            const wanted = rows.filter((row) => row.key === key && row.seq <= limit);
            expect(begun.filter((row) => row.key === key)).toEqual(wanted);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
