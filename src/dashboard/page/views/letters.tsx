import { useState } from 'preact/hooks';
import { useLive } from '../live.ts';
import { Ago, Boundary, Button, Empty, Foreign, Loaded, Pager, State } from '../parts.tsx';
import { asQuery, go, route, to, type Query } from '../router.ts';
import type { DeadLetter, Destination, Page } from '../types.ts';
import { isUuid } from '../../../core/uuid.ts';

const filters = ['status', 'destination', 'type', 'reason', 'cause', 'event', 'text'] as const;

export function LettersView() {
  const { query } = route.value;
  const given: Record<string, string | null> = Object.fromEntries(
    filters.map((name) => [name, query.get(name)]),
  );
  const cursor = query.get('cursor');
  const live = useLive<Page<DeadLetter, number>>(`/letters${asQuery({ ...given, cursor })}`, 5_000);
  const isFiltered = filters.some((name) => name !== 'status' && given[name] !== null);
  return (
    <>
      <h1>Letters</h1>
      <p class="lead">Events that were parked: refused for good, or too often. Each waits for a person.</p>
      <Filters key={asQuery(given)} given={given} />
      <Loaded live={live}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <Empty>
                {isFiltered
                  ? 'No letter is like that.'
                  : given['status'] === null
                    ? 'No event is parked.'
                    : 'There is none.'}
              </Empty>
            ) : (
              <div class="scroll" role="region" aria-label="Letters" tabIndex={0}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Letter</th>
                      <th scope="col">Event</th>
                      <th scope="col">Destination</th>
                      <th scope="col">Says</th>
                      <th scope="col">Parked</th>
                      <th scope="col">State</th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((letter) => (
                      <Boundary key={letter.id} columns={6} what={`Letter ${letter.id}`}>
                        <Row letter={letter} />
                      </Boundary>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
            {items.length > 0 && <RedriveLink given={given} />}
            <Pager path="/letters" given={given} cursor={cursor} next={next} />
          </>
        )}
      </Loaded>
    </>
  );
}

/** What is listed, as a redrive asks for it: open ones, of everything but one event. */
function RedriveLink({ given }: { readonly given: Readonly<Record<string, string | null>> }) {
  const { status = null, event, destination, type, reason, cause, text } = given;
  if (event != null || (status !== null && status !== 'open')) return null;
  return (
    <p>
      <a class="button" href={to('/redrives/new', { destination, type, cause, text, parkedFor: reason })}>
        Redrive these
      </a>
    </p>
  );
}

function Row({ letter }: { readonly letter: DeadLetter }) {
  const { id, eventType, destination, lastStatus, lastError, lastErrorClass, reason, parkedAt, resolution } =
    letter;
  return (
    <tr>
      <td data-label="Letter">
        <a href={to(`/letters/${id}`)}>{id}</a>
      </td>
      <td data-label="Event">
        <Foreign text={eventType} most={80} />
      </td>
      <td data-label="Destination">{destination}</td>
      <td data-label="Says" class="says">
        {lastStatus !== null && <strong>{lastStatus} </strong>}
        <Foreign text={lastError ?? lastErrorClass ?? reason} most={140} />
      </td>
      <td data-label="Parked">
        <Ago at={parkedAt} />
      </td>
      <td data-label="State">
        {resolution === null ? <State state="parked" /> : <State state={resolution} />}
      </td>
    </tr>
  );
}

/** What the field in front takes: a letter's number, an event's or a cause's id, a type such as `order.*`; else a text of the error. */
export function searched(text: string): { readonly path: string; readonly query: Query } {
  const term = text.trim();
  if (/^[1-9]\d{0,14}$/.test(term)) return { path: `/letters/${term}`, query: {} };
  if (isUuid(term)) return { path: '/letters', query: { event: term.toLowerCase(), status: 'all' } };
  if (/^[0-9a-f]{12}$/i.test(term)) return { path: '/letters', query: { cause: term.toLowerCase() } };
  return { path: '/letters', query: /^[\w-]*[.*][\w.*-]*$/.test(term) ? { type: term } : { text: term } };
}

function Filters({ given }: { readonly given: Readonly<Record<string, string | null>> }) {
  const [text, setText] = useState(given['event'] ?? given['cause'] ?? given['type'] ?? given['text'] ?? '');
  const destinations = useLive<{ items: readonly Destination[] }>('/destinations', 60_000).data?.items ?? [];
  const set = (name: string, value: string): void => go('/letters', { ...given, [name]: value });
  const { destination = null, status = null } = given;
  return (
    <form
      class="filters"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const { path, query } = searched(text);
        go(path, { destination, status, ...query });
      }}
    >
      <label class="field grow">
        <span>Find</span>
        <input
          type="search"
          value={text}
          placeholder="number, id, type (order.*) or a text of the error"
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Destination</span>
        <select value={destination ?? ''} onChange={(event) => set('destination', event.currentTarget.value)}>
          <option value="">all</option>
          {[
            ...new Set([
              ...destinations.map((each) => each.destination),
              ...(destination === null ? [] : [destination]),
            ]),
          ].map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>State</span>
        <select value={status ?? 'open'} onChange={(event) => set('status', event.currentTarget.value)}>
          <option value="open">open</option>
          <option value="resolved">resolved</option>
          <option value="all">all</option>
        </select>
      </label>
      <div class="buttons">
        <button type="submit">Find</button>
        <Button onClick={() => go('/letters')}>Clear</Button>
      </div>
    </form>
  );
}
