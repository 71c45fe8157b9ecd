import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ask } from '../api.ts';
import { because, Dialog, ReasonField } from '../dialog.tsx';
import { count, span, things } from '../format.ts';
import { Audit } from '../history.tsx';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, At, Button, Facts, Foreign, Loaded, Outside, State, WhyNot } from '../parts.tsx';
import { Progress, whichLetters } from '../progress.tsx';
import { Members } from '../redriveMembers.tsx';
import { Sample } from '../redriveSample.tsx';
import { to } from '../router.ts';
import type { Redrive } from '../types.ts';

export function RedriveView({ id }: { readonly id: string }) {
  const live = useLive<Redrive>(`/redrives/${encodeURIComponent(id)}`, 1_000);
  return (
    <Loaded live={live}>
      {(redrive) => (
        <>
          <p class="crumbs">
            <a href={to('/redrives')}>Redrives</a> › {redrive.id}
          </p>
          <h1>
            Redrive {redrive.id} <span class="to">{redrive.action}</span> <State state={redrive.state} />
          </h1>
          {redrive.startedAt === null ? (
            <p class="lead">
              A preview: {things(redrive.total, 'letter')} frozen, nothing sent. A start acts on these and no
              others.
            </p>
          ) : (
            <Progress redrive={redrive} />
          )}
          {redrive.why !== null && (
            <p class={redrive.state === 'stopped' ? 'refusal' : 'note'}>
              <Foreign text={redrive.why} most={500} />
            </p>
          )}
          <Steering redrive={redrive} onDone={live.again} />
          <div class="columns">
            <Summary redrive={redrive} />
            <Omitted redrive={redrive} />
          </div>
          {redrive.startedAt === null ? (
            <Sample redrive={redrive} />
          ) : (
            <Members id={redrive.id} isOver={redrive.endedAt !== null} />
          )}
          <section class="card" aria-labelledby="audit-title">
            <h2 id="audit-title">Who did what</h2>
            <Audit audit={redrive.audit} />
          </section>
        </>
      )}
    </Loaded>
  );
}

function Summary({ redrive }: { readonly redrive: Redrive }) {
  const { steps, rate, maxFailures, startedAt, endedAt, startedBy, madeAt, madeBy, pausedAt } = redrive;
  const took =
    startedAt === null || endedAt === null ? null : span(Date.parse(endedAt) - Date.parse(startedAt));
  const pace = `${steps.map(count).join(', ')}${rate === null ? ', the last one repeats' : `, then ${count(rate)} a second`}`;
  return (
    <section class="card" aria-labelledby="how-title">
      <h2 id="how-title">What it does</h2>
      <Facts
        rows={[
          ['letters', <Foreign text={whichLetters(redrive.filter)} most={1000} />],
          ['at', redrive.destinations.join(', ')],
          redrive.to === null ? null : ['sent to', redrive.to],
          ['steps', `${pace}${redrive.step > 0 && endedAt === null ? `; at step ${redrive.step}` : ''}`],
          ['stops at', `more than ${Math.round(maxFailures * 1000) / 10} % failures`],
          ['reason', redrive.reason === null ? null : <Foreign text={redrive.reason} most={1000} />],
          ['previewed', <By at={madeAt} who={madeBy} />],
          ...redrive.waitingForSecond.map(({ at, person, until }): [string, JSX.Element] => [
            'waits',
            <>
              for a second person until <At at={until} />; started <By at={at} who={person} />
            </>,
          ]),
          ['started', startedAt === null ? null : <By at={startedAt} who={startedBy} />],
          [
            'paused',
            pausedAt === null || endedAt !== null ? null : <By at={pausedAt} who={redrive.pausedBy} />,
          ],
          ['ended', endedAt === null ? null : <At at={endedAt} />],
          ['took', took],
          startedAt === null
            ? null
            : ['workflow', <Outside url={redrive.workflowUrl}>{redrive.workflowId}</Outside>],
        ]}
      />
      {endedAt !== null && (
        <p>
          <a class="button" href={`./v1/redrives/${redrive.id}`} download={`redrive-${redrive.id}.json`}>
            Report as JSON
          </a>
        </p>
      )}
    </section>
  );
}

function By({ at, who }: { readonly at: string; readonly who: string | null }) {
  return (
    <>
      <Ago at={at} /> by <Foreign text={who ?? 'somebody'} most={100} />
    </>
  );
}

/** Letters that match and are not acted on, by why. */
function Omitted({ redrive: { leftOut, skippedWhy } }: { readonly redrive: Redrive }) {
  const lines = [
    ...Object.entries(leftOut).map(([why, letters]) => ({ why: `not frozen: ${why}`, letters })),
    ...skippedWhy.map(({ why, letters }) => ({ why: `skipped: ${why}`, letters })),
  ].filter(({ letters }) => letters > 0);
  if (lines.length === 0) return null;
  return (
    <section class="card" aria-labelledby="omitted-title">
      <h2 id="omitted-title">Not acted on</h2>
      <ul class="plain">
        {lines.map(({ why, letters }) => (
          <li key={why}>
            {count(letters)} <Foreign text={why} most={300} />
          </li>
        ))}
      </ul>
    </section>
  );
}

const words = {
  start: ['Start', 'Lets them go as shown: the first step, then more while they are answered.'],
  pause: ['Pause', 'Lets nothing more go until it is resumed. What is under way goes on.'],
  resume: ['Resume', 'Goes on where it was.'],
  cancel: ['Cancel', 'Ends it for good. What was not let go stays parked; what went stays as it is.'],
} as const;
type Action = keyof typeof words;

function whyNotNow(action: Action, { state, total, endedAt }: Redrive): string | null {
  if (endedAt !== null) return `it is over: ${state}`;
  switch (action) {
    case 'start':
      return state !== 'previewed' ? 'it was started' : total === 0 ? 'no open letter matches' : null;
    case 'pause':
      return state === 'paused'
        ? 'it is paused already'
        : state === 'previewed'
          ? 'it was not started'
          : null;
    case 'resume':
      return state === 'paused' ? null : 'it is not paused';
    case 'cancel':
      return null;
  }
}

function Steering({ redrive, onDone }: { readonly redrive: Redrive; readonly onDone: () => void }) {
  const [doing, setDoing] = useState<Action | null>(null);
  const may = whyNot('act');
  return (
    <div class="actions">
      <div class="buttons">
        {(['start', 'pause', 'resume', 'cancel'] as const).map((action) => (
          <Button
            key={action}
            why={may ?? whyNotNow(action, redrive)}
            class={action === 'cancel' ? 'danger' : action === 'start' ? 'main' : ''}
            onClick={() => setDoing(action)}
          >
            {words[action][0]}
          </Button>
        ))}
      </div>
      <WhyNot why={may ?? (redrive.endedAt === null ? null : whyNotNow('start', redrive))} />
      {doing !== null && (
        <SteerDialog action={doing} redrive={redrive} onClose={() => setDoing(null)} onDone={onDone} />
      )}
    </div>
  );
}

function SteerDialog({
  action,
  redrive,
  onClose,
  onDone,
}: {
  readonly action: Action;
  readonly redrive: Redrive;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const [reason, setReason] = useState('');
  const [label, what] = words[action];
  const isDiscard = action === 'start' && redrive.action === 'discard';
  const needsReason = isDiscard && redrive.reason === null;
  const send = async (): Promise<string> => {
    await ask(`/redrives/${redrive.id}/${action}`, { method: 'POST', body: JSON.stringify(because(reason)) });
    onDone();
    return `Redrive ${redrive.id}: ${action === 'start' ? `${things(redrive.total, 'letter')} go, the first ${count(Math.min(redrive.steps[0] ?? 1, redrive.total))} now` : `${label.toLowerCase()} taken`}`;
  };
  return (
    <Dialog
      title={`${label} redrive ${redrive.id}`}
      action={action === 'cancel' ? 'End it' : label}
      danger={isDiscard || action === 'cancel'}
      notYet={needsReason && reason.trim() === '' ? 'Say why: the reason stands in the audit.' : null}
      onClose={onClose}
      onDone={send}
    >
      <p>
        {action === 'start' && (
          <strong>
            {redrive.action} of {things(redrive.total, 'letter')}.{' '}
          </strong>
        )}
        {what}
      </p>
      <ReasonField value={reason} onInput={setReason} required={needsReason} />
    </Dialog>
  );
}
