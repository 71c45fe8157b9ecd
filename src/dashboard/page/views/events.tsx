import { useState } from 'preact/hooks';
import { eventStates } from '../../../core/eventState.ts';
import { useLive } from '../live.ts';
import { Ago, Badge, Boundary, Button, Empty, Foreign, Loaded, Pager, State } from '../parts.tsx';
import { asQuery, go, route, to } from '../router.ts';
import type { ListedEvent, Page } from '../types.ts';
import { isUuid } from '../../../core/uuid.ts';

const fields = ['key', 'type', 'state', 'destination'] as const;
const spoken: Readonly<Record<string, string>> = { claimed: 'under way', retry: 'retrying' };

export function EventsView() {
  const { query } = route.value;
  const given = Object.fromEntries(fields.map((name) => [name, query.get(name)]));
  const cursor = query.get('cursor');
  const live = useLive<Page<ListedEvent, string>>(`/events${asQuery({ ...given, cursor })}`, 5_000);
  return (
    <>
      <h1>Events</h1>
      <p class="lead">What was written, and where each delivery stands.</p>
      <Search key={asQuery(given)} given={given} />
      <Loaded live={live}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <Empty>{asQuery(given) === '' ? 'No event is here.' : 'No event is like that.'}</Empty>
            ) : (
              <ul class="rows">
                {items.map((event) => (
                  <li key={event.id} class="card">
                    <Boundary what={`Event ${event.id}`}>
                      <One event={event} />
                    </Boundary>
                  </li>
                ))}
              </ul>
            )}
            <Pager path="/events" given={given} cursor={cursor} next={next} />
          </>
        )}
      </Loaded>
    </>
  );
}

function One({ event }: { readonly event: ListedEvent }) {
  const { id, type, key, createdAt, unrouted, standings } = event;
  return (
    <>
      <a href={to(`/events/${id}`)}>
        <Foreign text={type} most={120} />
      </a>{' '}
      <span class="note">
        {key !== null && (
          <>
            key{' '}
            <a href={to('/events', { key })}>
              <Foreign text={key} most={120} />
            </a>
            ,{' '}
          </>
        )}
        <Ago at={createdAt} />
      </span>{' '}
      {unrouted && <Badge tone="warn">no route took it</Badge>}
      {standings.map(({ destination, state }) => (
        <span key={destination} class="standing">
          {destination} <State state={state} />{' '}
        </span>
      ))}
    </>
  );
}

function Search({ given }: { readonly given: Readonly<Record<string, string | null | undefined>> }) {
  const [text, setText] = useState(given['key'] ?? given['type'] ?? '');
  const [by, setBy] = useState(given['type'] == null ? 'key' : 'type');
  const { state = null, destination = null } = given;
  return (
    <form
      class="filters"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const term = text.trim();
        if (isUuid(term)) go(`/events/${term.toLowerCase()}`);
        else go('/events', { state, destination, [by]: term });
      }}
    >
      <label class="field grow">
        <span>Find</span>
        <input
          type="search"
          value={text}
          placeholder={by === 'key' ? 'key, or the id of an event' : 'type: order.*'}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>By</span>
        <select value={by} onChange={(event) => setBy(event.currentTarget.value)}>
          <option value="key">key or id</option>
          <option value="type">type</option>
        </select>
      </label>
      <label class="field">
        <span>State</span>
        <select
          value={state ?? ''}
          onChange={(event) => go('/events', { ...given, state: event.currentTarget.value })}
        >
          <option value="">all</option>
          {eventStates.map((name) => (
            <option key={name} value={name}>
              {spoken[name] ?? name}
            </option>
          ))}
        </select>
      </label>
      <div class="buttons">
        <button type="submit">Find</button>
        <Button onClick={() => go('/events')}>Clear</Button>
      </div>
    </form>
  );
}
