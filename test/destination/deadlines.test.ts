import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines, type Expiring } from '../../src/destination/shared/deadlines.ts';

class Member implements Expiring<Member> {
  deadlineAtMs = 0;
  earlier: Member | null = null;
  later: Member | null = null;
  expiredAtMs: number | null = null;
  expire(): void {
    this.expiredAtMs = performance.now();
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

describe('deadlines', () => {
  it('fire for each member at its own time', () => {
    const deadlines = new Deadlines<Member>(100);
    const members = [new Member(), new Member(), new Member()];
    const startMs = performance.now();
    for (const member of members) {
      deadlines.add(member, performance.now());
      vi.advanceTimersByTime(30);
    }
    vi.advanceTimersByTime(500);
    expect(members.map(({ expiredAtMs }) => (expiredAtMs ?? 0) - startMs)).toEqual([100, 130, 160]);
  });

  it('do not fire for members removed: first, middle, last, twice, or never added', () => {
    const deadlines = new Deadlines<Member>(100);
    const members = Array.from({ length: 5 }, () => new Member());
    for (const member of members) deadlines.add(member, performance.now());
    for (const index of [0, 2, 4, 2]) deadlines.remove(members[index]!);
    deadlines.remove(new Member());
    vi.advanceTimersByTime(1000);
    expect(members.map(({ expiredAtMs }) => expiredAtMs !== null)).toEqual([false, true, false, true, false]);
  });

  it('work again after the list was empty', () => {
    const deadlines = new Deadlines<Member>(100);
    const [first, second] = [new Member(), new Member()];
    deadlines.add(first, performance.now());
    deadlines.remove(first);
    vi.advanceTimersByTime(1000);
    deadlines.add(second, performance.now());
    vi.advanceTimersByTime(99);
    expect(second.expiredAtMs).toBeNull();
    vi.advanceTimersByTime(1);
    expect(second.expiredAtMs).not.toBeNull();
  });
});
