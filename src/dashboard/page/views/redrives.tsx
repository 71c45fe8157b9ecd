import { things } from '../format.ts';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, Boundary, Empty, Foreign, Loaded, State, WhyNot } from '../parts.tsx';
import { Progress, whichLetters } from '../progress.tsx';
import { to } from '../router.ts';
import type { StandingRedrive } from '../types.ts';

export function RedrivesView() {
  const live = useLive<{ items: readonly StandingRedrive[]; more: boolean }>('/redrives', 2_000);
  const why = whyNot('act');
  return (
    <>
      <h1>Redrives</h1>
      <p class="lead">Letters that are let go together: a few first, more while they are answered.</p>
      <div class="actions">
        <div class="buttons">
          {why === null && (
            <a class="button" href={to('/redrives/new')}>
              New redrive
            </a>
          )}
        </div>
        <WhyNot why={why} />
      </div>
      <Loaded live={live}>
        {({ items, more }) => {
          const past = items.filter(({ endedAt }) => endedAt !== null);
          const now = items.filter(({ endedAt }) => endedAt === null);
          return (
            <>
              <List title="Now" items={now} empty="None is running, and no preview waits." />
              <List title="Past" items={past} empty="There was none yet." />
              {more && <p class="note">There are older ones: temporal-outbox redrive list</p>}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function List({
  title,
  items,
  empty,
}: {
  readonly title: string;
  readonly items: readonly StandingRedrive[];
  readonly empty: string;
}) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {items.length === 0 ? (
        <Empty>{empty}</Empty>
      ) : (
        <ul class="rows">
          {items.map((redrive) => (
            <li key={redrive.id} class="card">
              <Boundary what={`Redrive ${redrive.id}`}>
                <One redrive={redrive} />
              </Boundary>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function One({ redrive }: { readonly redrive: StandingRedrive }) {
  const { id, state, action, total, why, startedAt, startedBy, madeAt, madeBy } = redrive;
  return (
    <>
      <a href={to(`/redrives/${id}`)}>Redrive {id}</a> <State state={state} />{' '}
      <span class="note">
        {action} of {things(total, 'letter')}: <Foreign text={whichLetters(redrive.filter)} most={200} />,{' '}
        {startedAt === null ? 'previewed' : 'started'} <Ago at={startedAt ?? madeAt} /> by{' '}
        <Foreign text={startedBy ?? madeBy ?? 'somebody'} most={100} />
      </span>
      {why !== null && (
        <p class="note">
          <Foreign text={why} most={300} />
        </p>
      )}
      {startedAt !== null && <Progress redrive={redrive} />}
    </>
  );
}
