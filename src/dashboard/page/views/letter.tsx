import { useState } from 'preact/hooks';
import { ask, spoken } from '../api.ts';
import { because, Dialog, ReasonField, say } from '../dialog.tsx';
import { EditDialog } from '../edit.tsx';
import { things } from '../format.ts';
import { Attempts, Audit, Headers } from '../history.tsx';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, At, Button, Facts, Foreign, Loaded, Outside, State, WhyNot } from '../parts.tsx';
import { Payload } from '../payload.tsx';
import { to } from '../router.ts';
import type { Destination, Letter, ShownPayload } from '../types.ts';

export function LetterView({ id }: { readonly id: string }) {
  const live = useLive<Letter>(`/letters/${encodeURIComponent(id)}`, 4_000);
  return (
    <Loaded live={live}>
      {(letter) => (
        <>
          <p class="crumbs">
            <a href={to('/letters')}>Letters</a> › {letter.id}
          </p>
          <h1>
            <Foreign text={letter.eventType} most={120} /> <span class="to">to {letter.destination}</span>{' '}
            {letter.resolution === null ? <State state="parked" /> : <State state={letter.resolution} />}
          </h1>
          <Actions letter={letter} onDone={live.again} />
          <div class="columns">
            <Summary letter={letter} />
            {letter.event === null ? (
              <section class="card">
                <h2>Payload</h2>
                <p class="note">Its event is no longer in the database.</p>
              </section>
            ) : (
              <Payload
                path={`/letters/${letter.id}/payload`}
                kind={letter.event.payloadKind}
                bytes={letter.event.payloadSize}
                contentType={letter.event.contentType}
                why={whyNot('payloads')}
              />
            )}
          </div>
          {letter.queue !== null && <Queue queue={letter.queue} />}
          <section class="card" aria-labelledby="attempts-title">
            <h2 id="attempts-title">Attempts</h2>
            <Attempts attempts={letter.attemptHistory} />
          </section>
          <section class="card" aria-labelledby="audit-title">
            <h2 id="audit-title">What was done</h2>
            <Audit audit={letter.audit} />
          </section>
          {letter.otherEpisodes.length > 0 && (
            <section class="card" aria-labelledby="episodes-title">
              <h2 id="episodes-title">Parked at other times</h2>
              <ul class="plain">
                {letter.otherEpisodes.map((episode) => (
                  <li key={episode.id}>
                    <a href={to(`/letters/${episode.id}`)}>{episode.id}</a> <At at={episode.parkedAt} />,{' '}
                    {episode.resolution ?? 'open'}
                  </li>
                ))}
              </ul>
            </section>
          )}
        </>
      )}
    </Loaded>
  );
}

function Summary({ letter }: { readonly letter: Letter }) {
  const { event, resolvedAt } = letter;
  const lastWords = letter.lastError ?? letter.lastErrorClass ?? 'it was never sent';
  return (
    <section class="card" aria-labelledby="summary-title">
      <h2 id="summary-title">What happened</h2>
      <Facts
        rows={[
          ['last answer', <Foreign text={lastWords} most={500} />],
          [
            'parked',
            <>
              <Ago at={letter.parkedAt} />: {letter.reason}
            </>,
          ],
          ['tries', `${letter.tries}, ${letter.attempts} of them charged`],
          resolvedAt === null
            ? null
            : [
                'resolved',
                <>
                  <Ago at={resolvedAt} />: {letter.resolution} by{' '}
                  <Foreign text={letter.resolvedBy ?? 'somebody'} />
                  {letter.redirectedTo !== null && ` to ${letter.redirectedTo}`}
                  {letter.resolutionReason !== null && (
                    <>
                      , <Foreign text={letter.resolutionReason} />
                    </>
                  )}
                </>,
              ],
          ['delivery', letter.delivery ?? 'gone'],
          letter.cause === null
            ? null
            : ['cause', <a href={to('/letters', { cause: letter.cause })}>{letter.cause}</a>],
          ['event', <a href={to(`/events/${letter.eventId}`)}>{letter.eventId}</a>],
          letter.revision > 1 ? ['revision', String(letter.revision)] : null,
          event?.key == null
            ? null
            : [
                'key',
                <a href={to('/events', { key: event.key })}>
                  <Foreign text={event.key} />
                </a>,
              ],
          event === null ? null : ['written', <At at={event.createdAt} />],
          event === null || Object.keys(event.headers).length === 0
            ? null
            : ['headers', <Headers headers={event.headers} />],
          ['workflow', <Outside url={letter.workflowUrl}>{letter.workflowId}</Outside>],
          letter.workflowPaused === null ? null : ['', <Foreign text={letter.workflowPaused} />],
        ]}
      />
    </section>
  );
}

function Queue({ queue }: { readonly queue: NonNullable<Letter['queue']> }) {
  return (
    <section class="card" aria-labelledby="queue-title">
      <h2 id="queue-title">What waits behind it</h2>
      <p>
        {things(queue.waiting, 'later event')} of key <Foreign text={queue.key} most={200} />:
      </p>
      <ol class="plain">
        {queue.first.map(({ eventId, state }) => (
          <li key={eventId}>
            <a href={to(`/events/${eventId}`)}>{eventId}</a> {state}
          </li>
        ))}
      </ol>
    </section>
  );
}

type Doing = 'retry' | 'edit' | 'redirect' | 'discard';

function Actions({ letter, onDone }: { readonly letter: Letter; readonly onDone: () => void }) {
  const [doing, setDoing] = useState<Doing | null>(null);
  const [payload, setPayload] = useState<ShownPayload | null>(null);
  const resolved = letter.resolution === null ? null : `it was resolved: ${letter.resolution}`;
  const why = whyNot('act') ?? resolved;
  const whyEdit =
    why ?? whyNot('payloads') ?? (letter.event === null ? 'its event is no longer in the database' : null);
  const close = (): void => {
    setDoing(null);
    setPayload(null);
  };
  const edit = async (): Promise<void> => {
    try {
      setPayload(await ask<ShownPayload>(`/letters/${letter.id}/payload`, { method: 'POST', body: '{}' }));
      setDoing('edit');
    } catch (error) {
      say(spoken(error), 'bad');
    }
  };
  return (
    <div class="actions">
      <div class="buttons" role="group" aria-label="What to do with it">
        <Button class="main" why={why} onClick={() => setDoing('retry')}>
          Retry
        </Button>
        <Button why={whyEdit} onClick={() => void edit()}>
          Edit
        </Button>
        <Button why={why} onClick={() => setDoing('redirect')}>
          Redirect
        </Button>
        <Button class="danger" why={why} onClick={() => setDoing('discard')}>
          Discard
        </Button>
      </div>
      <WhyNot why={why ?? whyEdit} />
      {doing === 'edit' && payload !== null ? (
        <EditDialog letter={letter} payload={payload} onClose={close} onDone={onDone} />
      ) : doing === null || doing === 'edit' ? null : (
        <ResolveDialog action={doing} letter={letter} onClose={close} onDone={onDone} />
      )}
    </div>
  );
}

const words = {
  retry: ['Retry', 'Sends it again under the same key, its policy from the beginning.'],
  redirect: ['Redirect', 'Sends it to another destination instead.'],
  discard: ['Discard', 'Gives it up: it is never sent again.'],
} as const;

function ResolveDialog({
  action,
  letter,
  onClose,
  onDone,
}: {
  readonly action: Exclude<Doing, 'edit'>;
  readonly letter: Letter;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const [reason, setReason] = useState('');
  const [target, setTarget] = useState('');
  const [label, what] = words[action];
  const isDiscard = action === 'discard';
  const notYet =
    isDiscard && reason.trim() === ''
      ? 'Say why: the reason stands in the audit.'
      : action === 'redirect' && target === ''
        ? 'Choose where to.'
        : null;
  const send = async (): Promise<string> => {
    const body = { ...because(reason), ...(action === 'redirect' ? { to: target } : {}) };
    const answer = await ask<{ message: string }>(`/letters/${letter.id}/${action}`, {
      method: 'POST',
      body: JSON.stringify(body),
      ifMatch: letter.version,
    });
    onDone();
    return answer.message;
  };
  return (
    <Dialog
      title={`${label} letter ${letter.id}`}
      action={label}
      danger={isDiscard}
      onClose={onClose}
      onDone={send}
      notYet={notYet}
    >
      <p>{what}</p>
      {action === 'redirect' && <Targets except={letter.destination} value={target} onChange={setTarget} />}
      <ReasonField value={reason} onInput={setReason} required={isDiscard} />
    </Dialog>
  );
}

function Targets({
  except,
  value,
  onChange,
}: {
  readonly except: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}) {
  const names = useLive<{ items: readonly Destination[] }>('/destinations', 60_000).data?.items ?? [];
  return (
    <label class="field">
      <span>To</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">choose</option>
        {names
          .filter(({ destination }) => destination !== except)
          .map(({ destination }) => (
            <option key={destination} value={destination}>
              {destination}
            </option>
          ))}
      </select>
    </label>
  );
}
