import { useState } from 'preact/hooks';
import { ask, spoken } from './api.ts';
import { Diff } from './edit.tsx';
import { things } from './format.ts';
import { pretty } from './json.ts';
import { whyNot } from './me.ts';
import { Boundary, Button, Empty, Foreign, Refusal, WhyNot } from './parts.tsx';
import { to } from './router.ts';
import type { Redrive, SampledLetter, ShownTexts } from './types.ts';

/** The first letters of a preview, and what an edit makes of them, once somebody asks. */
export function Sample({ redrive }: { readonly redrive: Redrive }) {
  const { id, sample, total, action } = redrive;
  const [shown, setShown] = useState<readonly ShownTexts[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const look = async (): Promise<void> => {
    try {
      setError(null);
      setShown(
        (await ask<{ items: ShownTexts[] }>(`/redrives/${id}/payloads`, { method: 'POST', body: '{}' }))
          .items,
      );
    } catch (failure) {
      setError(spoken(failure));
    }
  };
  const why = whyNot('payloads');
  return (
    <section class="card" aria-labelledby="sample-title">
      <h2 id="sample-title">The first of them</h2>
      {sample.length === 0 ? (
        <Empty>No open letter matches.</Empty>
      ) : (
        <ul class="plain">
          {sample.map((letter) => (
            <li key={letter.letterId}>
              <Boundary what={`Letter ${letter.letterId}`}>
                <One letter={letter} texts={shown?.find(({ letterId }) => letterId === letter.letterId)} />
              </Boundary>
            </li>
          ))}
        </ul>
      )}
      {total > sample.length && <p class="note">and {things(total - sample.length, 'other')}</p>}
      {action === 'edit' && sample.length > 0 && shown === null && (
        <>
          <div class="buttons">
            <Button why={why} onClick={() => void look()}>
              Show what the edit makes of them
            </Button>
          </div>
          {why === null ? <p class="note">Each look stands in the audit.</p> : <WhyNot why={why} />}
        </>
      )}
      <Refusal error={error} />
    </section>
  );
}

function One({ letter, texts }: { readonly letter: SampledLetter; readonly texts: ShownTexts | undefined }) {
  const { letterId, eventType, destination, lastStatus, lastError, problem } = letter;
  return (
    <>
      <a href={to(`/letters/${letterId}`)}>{letterId}</a> <Foreign text={eventType} most={100} />{' '}
      <span class="note">
        at {destination}: {lastStatus !== null && <strong>{lastStatus} </strong>}
        <Foreign text={lastError ?? 'it was never sent'} most={200} />
      </span>
      {problem !== null && (
        <p class="why">
          Would be skipped: <Foreign text={problem} most={300} />
        </p>
      )}
      {texts?.before != null && texts.after !== null && (
        <Diff before={pretty(texts.before)} after={pretty(texts.after)} />
      )}
    </>
  );
}
