import { useState } from 'preact/hooks';
import { ask } from '../api.ts';
import { Dialog } from '../dialog.tsx';
import { count, things } from '../format.ts';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, Badge, Bars, Boundary, Button, Empty, Foreign, Loaded, WhyNot } from '../parts.tsx';
import { asQuery, route, to } from '../router.ts';
import type { Cause } from '../types.ts';

export function CausesView() {
  const destination = route.value.query.get('destination');
  const live = useLive<{ items: readonly Cause[]; more: boolean }>(
    `/causes${asQuery({ destination })}`,
    5_000,
  );
  const [edited, setEdited] = useState<Cause | null>(null);
  return (
    <>
      <h1>Causes</h1>
      <p class="lead">Why events are parked: one entry for each destination, class of failure and error.</p>
      <WhyNot why={whyNot('act')} />
      <Loaded live={live}>
        {({ items, more }) =>
          items.length === 0 ? (
            <Empty>Nothing is parked{destination === null ? '' : ` at ${destination}`}.</Empty>
          ) : (
            <>
              <ul class="rows">
                {items.map((cause) => (
                  <li key={`${cause.id} ${cause.destination}`} class="card">
                    <Boundary what={`Cause ${cause.id}`}>
                      <OneCause cause={cause} onEdit={() => setEdited(cause)} />
                    </Boundary>
                  </li>
                ))}
              </ul>
              {more && <p class="note">There are more; these have the most letters.</p>}
            </>
          )
        }
      </Loaded>
      {edited !== null && <NoteDialog cause={edited} onClose={() => setEdited(null)} onNoted={live.again} />}
    </>
  );
}

function OneCause({ cause, onEdit }: { readonly cause: Cause; readonly onEdit: () => void }) {
  const { id, destination, status, error, open, firstParkedAt, lastParkedAt, trend, note, owner, notedBy } =
    cause;
  const title = error === '' ? cause.class : error;
  return (
    <article class="cause">
      <h2>
        {id === null ? (
          <Foreign text={title} most={300} />
        ) : (
          <a href={to('/letters', { cause: id })}>
            <Foreign text={title} most={300} />
          </a>
        )}
      </h2>
      <p class="note">
        <Badge tone="bad">{things(open, 'letter')}</Badge> {destination}, {status ?? cause.class}
        {firstParkedAt !== null && (
          <>
            , first <Ago at={firstParkedAt} />
          </>
        )}
        {lastParkedAt !== null && (
          <>
            , last <Ago at={lastParkedAt} />
          </>
        )}
      </p>
      <figure>
        <Bars good={trend.map(() => 0)} bad={trend} unit="hour" />
        <figcaption>
          parked in the last 24 hours: {count(trend.reduce((sum, each) => sum + each, 0))}
        </figcaption>
      </figure>
      {(owner !== null || note !== null) && (
        <p class="noted">
          {owner !== null && (
            <>
              <strong>
                <Foreign text={owner} />
              </strong>{' '}
              has it.{' '}
            </>
          )}
          {note !== null && <Foreign text={note} />}
          {notedBy !== null && (
            <span class="note">
              {' '}
              (<Foreign text={notedBy} />)
            </span>
          )}
        </p>
      )}
      {id !== null && (
        <div class="buttons">
          <Button why={whyNot('act')} onClick={onEdit} aria-label={`Note and owner of cause ${id}`}>
            Note and owner
          </Button>
          <a class="button" href={to('/letters', { cause: id })} aria-label={`Letters of cause ${id}`}>
            Letters
          </a>
          <a
            class="button"
            href={to('/redrives/new', { cause: id, destination })}
            aria-label={`Redrive the letters of cause ${id}`}
          >
            Redrive
          </a>
        </div>
      )}
    </article>
  );
}

function NoteDialog({
  cause,
  onClose,
  onNoted,
}: {
  readonly cause: Cause;
  readonly onClose: () => void;
  readonly onNoted: () => void;
}) {
  const [note, setNote] = useState(cause.note ?? '');
  const [owner, setOwner] = useState(cause.owner ?? '');
  const save = async (): Promise<string> => {
    await ask(`/causes/${cause.id}`, { method: 'PATCH', body: JSON.stringify({ note, owner }) });
    onNoted();
    return `Noted at cause ${cause.id}`;
  };
  return (
    <Dialog title="Note and owner" action="Save" onClose={onClose} onDone={save}>
      <label class="field">
        <span>Owner</span>
        <input
          type="text"
          maxLength={100}
          value={owner}
          onInput={(event) => setOwner(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Note</span>
        <textarea
          rows={4}
          maxLength={1000}
          value={note}
          onInput={(event) => setNote(event.currentTarget.value)}
        />
      </label>
    </Dialog>
  );
}
