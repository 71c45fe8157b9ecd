import { span } from './format.ts';

/** Below this nobody is late; the line is drawn to this scale at least. */
const secondsMin = 5;

/** How late a destination was, minute by minute; in place of a line that is flat, a word. */
export function LagLine({ lag }: { readonly lag: readonly number[] }) {
  const worst = Math.max(...lag, 0);
  if (worst < 1) return <p class="note lag">never more than a second late</p>;
  const top = Math.max(worst, secondsMin);
  const points = lag.map((seconds, minute) => `${minute * 4 + 2},${(19 - (seconds / top) * 18).toFixed(1)}`);
  const label = `at most ${span(worst * 1000)} late in the last ${lag.length} minutes`;
  return (
    <div class="lag">
      <svg viewBox={`0 0 ${lag.length * 4} 20`} preserveAspectRatio="none" role="img" aria-label={label}>
        <title>{label}</title>
        <polygon points={`2,19.5 ${points.join(' ')} ${lag.length * 4 - 2},19.5`} />
        <polyline points={points.join(' ')} />
      </svg>
      <p class="note">{label}</p>
    </div>
  );
}
