/** What views are made of. */
import { Component, type ComponentChildren, type JSX } from 'preact';
import { printable } from '../../core/printable.ts';
import { count, moment, span, things } from './format.ts';
import { now, paused, type Live } from './live.ts';
import { to, type Query } from './router.ts';

/** Text of strangers: one line, nothing in it turns its direction or hides, and it is kept apart from what stands around it. */
export function Foreign({ text, most = 2000 }: { readonly text: string; readonly most?: number }) {
  const shown = printable(text, most);
  return (
    <bdi class="foreign">
      {shown}
      {text.length > most ? ' …' : ''}
    </bdi>
  );
}

/** What a server refused, told at once to who hears the page; nothing while nothing was. */
export function Refusal({ error }: { readonly error: string | null }) {
  if (error === null) return null;
  return (
    <p class="refusal" role="alert">
      <Foreign text={error} />
    </p>
  );
}

/** One that cannot be drawn says so, and takes nothing beside it along. */
export class Boundary extends Component<
  {
    readonly what: string;
    /** Of a table with so many columns. */
    readonly columns?: number;
    readonly children: ComponentChildren;
  },
  { readonly failed: boolean }
> {
  override state = { failed: false };
  static override getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }
  override render(): ComponentChildren {
    const { what, columns, children } = this.props;
    if (!this.state.failed) return children;
    const words = <p class="unreadable">{what} cannot be shown.</p>;
    return columns === undefined ? (
      words
    ) : (
      <tr>
        <td colSpan={columns}>{words}</td>
      </tr>
    );
  }
}

export function Ago({ at }: { readonly at: string }) {
  const ms = now.value - new Date(at).getTime();
  if (Number.isNaN(ms)) return <Foreign text={at} />;
  return (
    <time dateTime={at} title={moment(at)}>
      {ms < -1_000 ? `in ${span(-ms)}` : `${span(ms)} ago`}
    </time>
  );
}

export function At({ at }: { readonly at: string }) {
  return <time dateTime={at}>{moment(at)}</time>;
}

export type Tone = 'good' | 'warn' | 'bad' | 'calm';

export function Badge({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

const toneOf: Readonly<Record<string, Tone>> = {
  closed: 'good',
  'half-open': 'warn',
  open: 'bad',
  paused: 'warn',
  parked: 'bad',
  delivered: 'good',
  retry: 'warn',
  refused: 'bad',
  done: 'good',
  committed: 'good',
  canary: 'warn',
  running: 'warn',
  stopped: 'bad',
  failed: 'bad',
};

export function State({ state }: { readonly state: string }) {
  return <Badge tone={toneOf[state] ?? 'calm'}>{state}</Badge>;
}

/** A button that may not be pressed stays where it is, and says why. */
export function Button({
  why = null,
  children,
  ...rest
}: { readonly why?: string | null; readonly children: ComponentChildren } & JSX.IntrinsicElements['button']) {
  if (why === null)
    return (
      <button type="button" {...rest}>
        {children}
      </button>
    );
  const { class: name, className: _className, ...others } = rest;
  return (
    <button type="button" {...others} class={name} aria-disabled="true" title={why} onClick={undefined}>
      {children}
    </button>
  );
}

export function WhyNot({ why }: { readonly why: string | null }) {
  return why === null ? null : <p class="why">{why}.</p>;
}

/** Loading, empty, stale and failed, around what there is. */
export function Loaded<Data>({
  live,
  children,
}: {
  readonly live: Live<Data>;
  readonly children: (data: Data) => ComponentChildren;
}) {
  const { data, error, again } = live;
  if (data === undefined)
    return error === undefined ? (
      <p class="loading" role="status">
        Loading …
      </p>
    ) : (
      <div class="failed" role="alert">
        <p>
          <Foreign text={error} />
        </p>
        <Button onClick={again}>Try again</Button>
      </div>
    );
  return (
    <>
      <Stale live={live} />
      {children(data)}
    </>
  );
}

function Stale({ live: { at, error, again } }: { readonly live: Live<unknown> }) {
  const age = span(now.value - at);
  if (error !== undefined)
    return (
      <div class="stale bad" role="alert">
        <span>
          What is shown is {age} old: <Foreign text={error} />
        </span>
        <Button onClick={again}>Try again</Button>
      </div>
    );
  return paused.value ? (
    <div class="stale" role="status">
      <span>Paused: what is shown is from {new Date(at).toISOString().slice(11, 19)} UTC.</span>
      <Button onClick={again}>Read it now</Button>
    </div>
  ) : null;
}

export function Mark() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M6 17v8h20v-8" />
      <path d="M16 20V6m-6 6 6-6 6 6" />
    </svg>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** A bar for each minute or hour: what went well, and on top what did not. */
export function Bars({
  good,
  bad = [],
  unit,
}: {
  readonly good: readonly number[];
  readonly bad?: readonly number[];
  /** `minute` */
  readonly unit: string;
}) {
  const sums = good.map((value, index) => value + (bad[index] ?? 0));
  const most = Math.max(...sums, 1);
  const total = good.reduce((sum, value) => sum + value, 0);
  const failed = bad.reduce((sum, value) => sum + value, 0);
  const label = `${things(total, 'event')}${failed > 0 ? `, ${things(failed, 'failure')}` : ''} in ${things(good.length, unit)}, at most ${count(most === 1 && total + failed === 0 ? 0 : most)} a ${unit}`;
  return (
    <svg
      class="bars"
      viewBox={`0 0 ${good.length * 4} 32`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      <line class="ground" x1="0" x2={good.length * 4} y1="31.5" y2="31.5" />
      {sums.map((sum, index) => {
        if (sum === 0) return null;
        const height = Math.max(1.5, (sum / most) * 30);
        const red = (height * (bad[index] ?? 0)) / sum;
        return (
          <g key={index}>
            <rect class="ok" x={index * 4 + 0.5} width="3" y={32 - height + red} height={height - red} />
            {red > 0 && <rect class="no" x={index * 4 + 0.5} width="3" y={32 - height} height={red} />}
          </g>
        );
      })}
    </svg>
  );
}

export function Facts({ rows }: { readonly rows: readonly (readonly [string, ComponentChildren] | null)[] }) {
  return (
    <dl class="facts">
      {rows.map((row) =>
        row === null || row[1] === null || row[1] === undefined ? null : (
          <div key={row[0]}>
            <dt>{row[0]}</dt>
            <dd>{row[1]}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

/** Leads out of the page, to the Temporal UI; nothing but an address of the web becomes a link. */
export function Outside({
  url,
  children,
}: {
  readonly url: string | null;
  readonly children: ComponentChildren;
}) {
  return url !== null && /^https?:\/\//.test(url) ? (
    <a href={url} target="_blank" rel="noreferrer noopener">
      {children} ↗
    </a>
  ) : (
    <>{children}</>
  );
}

/** From page to page of a list: back to its beginning, and on. */
export function Pager({
  path,
  given,
  cursor,
  next,
}: {
  readonly path: string;
  /** What the list was asked for. */
  readonly given: Query;
  /** Where this page begins; null for the first. */
  readonly cursor: string | null;
  readonly next: string | number | null;
}) {
  return (
    <div class="buttons">
      {cursor !== null && (
        <a class="button" href={to(path, given)}>
          The newest
        </a>
      )}
      {next !== null && (
        <a class="button" href={to(path, { ...given, cursor: String(next) })}>
          Older ones
        </a>
      )}
    </div>
  );
}
