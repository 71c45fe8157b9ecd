import { count, seconds, span, things } from '../format.ts';
import { useLive } from '../live.ts';
import { LagLine } from '../lagLine.tsx';
import { Ago, Badge, Bars, Boundary, Empty, Foreign, Loaded, State } from '../parts.tsx';
import { to } from '../router.ts';
import type { Overview } from '../types.ts';

export function OverviewView() {
  const live = useLive<Overview>('/overview', 2_000);
  return (
    <>
      <h1>Overview</h1>
      <Loaded live={live}>
        {(overview) => (
          <>
            <Stuck overview={overview} />
            <section aria-labelledby="flow-title">
              <h2 id="flow-title">The last hour</h2>
              {overview.destinations.length === 0 ? (
                <Empty>No destination is configured: temporal-outbox config apply</Empty>
              ) : (
                <ul class="cards">
                  {overview.destinations.map((each) => (
                    <li key={each.destination}>
                      <Boundary what={each.destination}>
                        <Flow one={each} />
                      </Boundary>
                    </li>
                  ))}
                </ul>
              )}
            </section>
            {overview.unrouted.length > 0 && (
              <section class="card" aria-labelledby="unrouted-title">
                <h2 id="unrouted-title">Events that no route took</h2>
                <ul class="plain">
                  {overview.unrouted.map(({ type, events }) => (
                    <li key={type}>
                      <Foreign text={type} /> <span class="note">{count(events)}</span>
                    </li>
                  ))}
                </ul>
              </section>
            )}
            <p class="note">
              {things(overview.relays, 'relay')} and {things(overview.workers, 'worker')} alive, configuration{' '}
              {overview.configRevision}
            </p>
          </>
        )}
      </Loaded>
    </>
  );
}

function Stuck({ overview: { stuck, causes } }: { readonly overview: Overview }) {
  return (
    <section class="card" aria-labelledby="stuck-title">
      <h2 id="stuck-title">What is stuck</h2>
      {stuck.length === 0 ? (
        <p class="fine">
          <Badge tone="good">all well</Badge> Nothing waits for anybody.
        </p>
      ) : (
        <ul class="plain">
          {stuck.map(({ kind, what, since, more }, index) => (
            <li key={`${kind} ${index}`} class={`stuck ${kind}`}>
              {more === null ? (
                <Foreign text={what} />
              ) : (
                <a href={`#${more}`}>
                  <Foreign text={what} />
                </a>
              )}
              {since !== null && (
                <span class="note">
                  , <Ago at={since} />
                </span>
              )}
            </li>
          ))}
        </ul>
      )}
      {causes.length > 0 && (
        <p class="note">
          Mostly{' '}
          <a href={to('/letters', { cause: causes[0]?.id })}>
            <Foreign text={causes[0]?.error || causes[0]?.class || ''} most={100} />
          </a>{' '}
          ({count(causes[0]?.open ?? 0)}). <a href={to('/causes')}>All causes</a>
        </p>
      )}
    </section>
  );
}

function Flow({ one }: { readonly one: Overview['destinations'][number] }) {
  const {
    destination,
    state,
    counts,
    delivered,
    failed,
    lag,
    lagSeconds,
    p95Seconds,
    since,
    reason,
    nextProbeAt,
  } = one;
  const total = delivered.reduce((sum, each) => sum + each, 0);
  return (
    <article class={`card flow ${state}`} aria-label={destination}>
      <h3>
        <a href={to('/destinations', { name: destination })}>{destination}</a> <State state={state} />
      </h3>
      <Bars good={delivered} bad={failed} unit="minute" />
      <LagLine lag={lag} />
      <dl class="numbers">
        <Number label="delivered" value={count(total)} />
        <Number
          label="lag"
          value={lagSeconds === 0 ? 'none' : span(lagSeconds * 1000)}
          warn={lagSeconds >= 30}
        />
        <Number label="answers, p95" value={p95Seconds === null ? '–' : seconds(p95Seconds)} />
        <Number label="pending" value={count(counts.pending + counts.scheduled + counts.blocked)} />
        <Number label="retrying" value={count(counts.retrying)} warn={counts.retrying > 0} />
        <Number
          label="parked"
          value={count(counts.parked)}
          warn={counts.parked > 0}
          href={to('/letters', { destination })}
        />
      </dl>
      {state !== 'closed' && (
        <p class="note">
          {since !== null && (
            <>
              <Ago at={since} />
            </>
          )}
          {nextProbeAt !== null && (
            <>
              , next probe <Ago at={nextProbeAt} />
            </>
          )}
          {reason !== null && (
            <>
              {': '}
              <Foreign text={reason} most={300} />
            </>
          )}
        </p>
      )}
    </article>
  );
}

function Number({
  label,
  value,
  warn = false,
  href,
}: {
  readonly label: string;
  readonly value: string;
  readonly warn?: boolean;
  readonly href?: string;
}) {
  return (
    <div class={warn ? 'warn' : ''}>
      <dt>{label}</dt>
      <dd>
        {href === undefined || value === '0' ? (
          value
        ) : (
          <a href={href} aria-label={`${value} ${label}`}>
            {value}
          </a>
        )}
      </dd>
    </div>
  );
}
