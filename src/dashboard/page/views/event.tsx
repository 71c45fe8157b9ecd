import { Attempts, Audit, Headers } from '../history.tsx';
import { size } from '../format.ts';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { At, Badge, Boundary, Empty, Facts, Foreign, Loaded, Outside, State } from '../parts.tsx';
import { Payload } from '../payload.tsx';
import { to } from '../router.ts';
import type { EventStory } from '../types.ts';

export function EventView({ id }: { readonly id: string }) {
  const live = useLive<EventStory>(`/events/${encodeURIComponent(id)}`, 4_000);
  return (
    <Loaded live={live}>
      {(story) => (
        <>
          <p class="crumbs">
            <a href={to('/events')}>Events</a> › {story.id}
          </p>
          <h1>
            <Foreign text={story.event?.type ?? 'An event whose text is gone'} most={120} />{' '}
            {story.unrouted && <Badge tone="warn">no route took it</Badge>}
          </h1>
          <section class="card" aria-labelledby="standing-title">
            <h2 id="standing-title">Where each delivery stands</h2>
            <Deliveries story={story} />
          </section>
          <div class="columns">
            <Description story={story} />
            {story.event !== null && (
              <Payload
                path={`/events/${story.id}/payload`}
                kind={story.event.payloadKind}
                bytes={story.event.payloadSize}
                contentType={story.event.contentType}
                why={story.event.erasedAt === null ? whyNot('payloads') : 'its text was erased'}
              />
            )}
          </div>
          {story.attempts.map(({ destination, attempts }) => (
            <section key={destination} class="card" aria-label={`Attempts at ${destination}`}>
              <h2>Attempts at {destination}</h2>
              <Attempts attempts={attempts} />
            </section>
          ))}
          {story.letters.length > 0 && (
            <section class="card" aria-labelledby="letters-title">
              <h2 id="letters-title">Dead letters</h2>
              <ul class="plain">
                {story.letters.map((letter) => (
                  <li key={letter.id}>
                    <a href={to(`/letters/${letter.id}`)}>{letter.id}</a> {letter.destination},{' '}
                    <At at={letter.parkedAt} />, {letter.resolution ?? 'waits for a person'}
                  </li>
                ))}
              </ul>
            </section>
          )}
          {story.revisions.length > 0 && (
            <section class="card" aria-labelledby="edits-title">
              <h2 id="edits-title">Edits</h2>
              <ul class="plain">
                {story.revisions.map(({ destination, revision, madeAt, madeBy, reason, payloadSize }) => (
                  <li key={`${destination} ${revision}`}>
                    revision {revision} for {destination} by <Foreign text={madeBy ?? 'somebody'} />,{' '}
                    <At at={madeAt} />, {size(payloadSize)}
                    {reason !== null && (
                      <>
                        {' '}
                        (<Foreign text={reason} />)
                      </>
                    )}
                  </li>
                ))}
              </ul>
            </section>
          )}
          <section class="card" aria-labelledby="audit-title">
            <h2 id="audit-title">What was done</h2>
            <Audit audit={story.audit} />
          </section>
        </>
      )}
    </Loaded>
  );
}

function Deliveries({ story }: { readonly story: EventStory }) {
  if (story.deliveries.length === 0)
    return (
      <Empty>{story.unrouted ? 'It went nowhere.' : 'Nothing is known of its deliveries any more.'}</Empty>
    );
  return (
    <ul class="plain">
      {story.deliveries.map((delivery) => (
        <li key={delivery.destination}>
          <Boundary what={delivery.destination}>
            <strong>{delivery.destination}</strong> <State state={delivery.state} />{' '}
            <span class="note">
              {delivery.tries === 1 ? 'tried once' : `tried ${delivery.tries} times`}
              {delivery.deliveredAt !== null && (
                <>
                  , delivered <At at={delivery.deliveredAt} />
                </>
              )}
              {delivery.dueAt !== null && (
                <>
                  , due <At at={delivery.dueAt} />
                </>
              )}
              {delivery.workflowId !== null && (
                <>
                  , <Outside url={delivery.workflowUrl}>{delivery.workflowId}</Outside>
                </>
              )}
            </span>
          </Boundary>
        </li>
      ))}
    </ul>
  );
}

function Description({ story: { id, event } }: { readonly story: EventStory }) {
  if (event === null)
    return (
      <section class="card">
        <h2>The event</h2>
        <p class="note">Its text is no longer in the database.</p>
      </section>
    );
  const optional = (label: string, value: string | null) =>
    value === null ? null : ([label, <Foreign text={value} most={400} />] as const);
  return (
    <section class="card" aria-labelledby="event-title">
      <h2 id="event-title">The event</h2>
      <Facts
        rows={[
          ['id', id],
          ['written', <At at={event.createdAt} />],
          event.key === null
            ? null
            : [
                'key',
                <a href={to('/events', { key: event.key })}>
                  <Foreign text={event.key} most={400} />
                </a>,
              ],
          event.deliverAt === null ? null : ['not before', <At at={event.deliverAt} />],
          optional('dedup key', event.dedupKey),
          optional('source', event.source),
          optional('subject', event.subject),
          optional('content type', event.contentType),
          Object.keys(event.headers).length === 0 ? null : ['headers', <Headers headers={event.headers} />],
        ]}
      />
    </section>
  );
}
