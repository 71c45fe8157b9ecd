import { useState } from 'preact/hooks';
import { useLive } from './live.ts';
import { Boundary, Button, Empty, Foreign, Loaded, State } from './parts.tsx';
import { asQuery, to } from './router.ts';
import type { Page, RedriveMember } from './types.ts';

const states = ['failed', 'skipped', 'sent', 'waiting', 'done', 'left'] as const;

/** What became of each letter; those that failed first, as they are what one looks for. */
export function Members({ id, isOver }: { readonly id: number; readonly isOver: boolean }) {
  const [state, setState] = useState<string>('failed');
  const [cursor, setCursor] = useState<string | null>(null);
  const live = useLive<Page<RedriveMember, number>>(
    `/redrives/${id}/members${asQuery({ state, cursor, limit: '50' })}`,
    isOver ? 10_000 : 2_000,
  );
  return (
    <section class="card" aria-labelledby="members-title">
      <h2 id="members-title">Letter by letter</h2>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          <span>What became of it</span>
          <select
            value={state}
            onChange={(event) => {
              setCursor(null);
              setState(event.currentTarget.value);
            }}
          >
            <option value="">all</option>
            {states.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </form>
      <Loaded live={live}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty>{state === '' ? 'There is none.' : `None is ${state}.`}</Empty>
          ) : (
            <>
              <ul class="plain">
                {items.map((member) => (
                  <li key={member.ordinal}>
                    <Boundary what={`Letter ${member.letterId}`}>
                      <a href={to(`/letters/${member.letterId}`)}>{member.letterId}</a>{' '}
                      <State state={member.state} /> <span class="note">at {member.destination}</span>
                      {member.why !== null && (
                        <span class="note">
                          : <Foreign text={member.why} most={200} />
                        </span>
                      )}
                    </Boundary>
                  </li>
                ))}
              </ul>
              <div class="buttons">
                {cursor !== null && <Button onClick={() => setCursor(null)}>The first</Button>}
                {next !== null && <Button onClick={() => setCursor(String(next))}>More</Button>}
              </div>
            </>
          )
        }
      </Loaded>
    </section>
  );
}
