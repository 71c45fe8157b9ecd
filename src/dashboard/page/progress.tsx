import type { RedriveFilter } from '../../core/redrive.ts';
import { count, things } from './format.ts';
import type { StandingRedrive } from './types.ts';

/** `destination billing, status 422` */
export function whichLetters(filter: RedriveFilter): string {
  const said = Object.entries(filter).flatMap(([name, value]) => {
    if (name === 'typeLike') return [];
    if (Array.isArray(value))
      return [
        value.length > 5 ? `${things(value.length, 'letter')} by number` : `letters ${value.join(', ')}`,
      ];
    return [`${name === 'parkedFor' ? 'parked for' : name} ${String(value)}`];
  });
  return said.length === 0 ? 'all open ones' : said.join(', ');
}

const kinds = [
  ['done', 'ok', ({ done }) => done],
  ['failed', 'no', ({ failed }) => failed],
  ['retrying', 'hm', ({ retrying }) => retrying],
  ['under way', 'on', ({ unanswered }) => unanswered],
  ['skipped', 'by', ({ skipped }) => skipped],
] as const satisfies readonly (readonly [string, string, (redrive: StandingRedrive) => number])[];

/** How far it is, drawn and in words. */
export function Progress({ redrive }: { readonly redrive: StandingRedrive }) {
  const { total, acted, skipped } = redrive;
  const shown = kinds.map(([name, tone, of]) => ({ name, tone, value: of(redrive) }));
  const words = shown
    .filter(({ name, value }) => value > 0 || name === 'done')
    .map(({ name, value }) => `${count(value)} ${name}`)
    .join(', ');
  let from = 0;
  return (
    <div class="progress">
      <svg
        viewBox="0 0 100 6"
        preserveAspectRatio="none"
        role="progressbar"
        aria-label="Letters let go"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={acted + skipped}
        aria-valuetext={`${words} of ${count(total)}`}
      >
        <rect class="rest" width="100" height="6" />
        {shown.map(({ name, tone, value }) => {
          const width = total === 0 ? 0 : (100 * value) / total;
          from += width;
          return value === 0 ? null : (
            <rect key={name} class={tone} x={from - width} width={width} height="6" />
          );
        })}
      </svg>
      <p class="note">
        {words} of {things(total, 'letter')}
      </p>
    </div>
  );
}
