import { useState } from 'preact/hooks';
import { ask } from '../api.ts';
import { because, Dialog, ReasonField } from '../dialog.tsx';
import { count, seconds, span } from '../format.ts';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import {
  Ago,
  Bars,
  Boundary,
  Button,
  Empty,
  Facts,
  Foreign,
  Loaded,
  Outside,
  State,
  WhyNot,
} from '../parts.tsx';
import { route, to } from '../router.ts';
import type { Destination } from '../types.ts';

type Action = 'pause' | 'resume' | 'probe';

interface Asked {
  readonly action: Action;
  readonly name: string;
}

export function DestinationsView() {
  const only = route.value.query.get('name');
  const live = useLive<{ items: readonly Destination[] }>('/destinations', 2_000);
  const [asked, setAsked] = useState<Asked | null>(null);
  return (
    <>
      <h1>Destinations</h1>
      {only !== null && (
        <p class="crumbs">
          <a href={to('/destinations')}>All destinations</a> › {only}
        </p>
      )}
      <WhyNot why={whyNot('act')} />
      <Loaded live={live}>
        {({ items }) => {
          const shown = items.filter(({ destination }) => only === null || destination === only);
          return shown.length === 0 ? (
            <Empty>
              {only === null ? 'No destination is configured.' : `There is no destination ${only}.`}
            </Empty>
          ) : (
            <ul class="rows">
              {shown.map((one) => (
                <li key={one.destination}>
                  <Boundary what={one.destination}>
                    <One one={one} ask={(action) => setAsked({ action, name: one.destination })} />
                  </Boundary>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
      {asked !== null && <CommandDialog {...asked} onClose={() => setAsked(null)} onDone={live.again} />}
    </>
  );
}

function One({ one, ask: open }: { readonly one: Destination; readonly ask: (action: Action) => void }) {
  const { destination, state, counts, policy, reason, since, nextProbeAt, waitUntil, workflowUrl } = one;
  const may = whyNot('act');
  const label = (action: string): string => `${action} ${destination}`;
  return (
    <article class={`card ${state}`} aria-label={destination}>
      <h2>
        {destination} <State state={state} /> <span class="note">{policy?.type}</span>
      </h2>
      <Bars good={one.delivered} bad={one.failed} unit="minute" />
      <div class="buttons">
        <Button
          aria-label={label('Pause')}
          why={may ?? (state === 'paused' ? 'it is paused already' : null)}
          onClick={() => open('pause')}
        >
          Pause
        </Button>
        <Button
          aria-label={label('Resume')}
          why={may ?? (state === 'closed' ? 'it is not paused, and its circuit is closed' : null)}
          onClick={() => open('resume')}
        >
          Resume
        </Button>
        <Button
          aria-label={label('Probe')}
          why={
            may ??
            (state === 'closed'
              ? 'its circuit is closed: there is nothing to probe'
              : state === 'paused'
                ? 'it is paused: resume it first'
                : null)
          }
          onClick={() => open('probe')}
        >
          Probe
        </Button>
        <a class="button" href={to('/letters', { destination })} aria-label={`Letters of ${destination}`}>
          Letters
        </a>
      </div>
      <Facts
        rows={[
          [
            'now',
            `${count(counts.pending)} pending, ${count(counts.scheduled)} scheduled, ${count(counts.blocked)} blocked, ${count(counts.delivering)} under way, ${count(counts.retrying)} retrying, ${count(counts.parked)} parked`,
          ],
          ['lag', one.lagSeconds === 0 ? 'none' : span(one.lagSeconds * 1000)],
          [
            'answers',
            one.p95Seconds === null ? 'none in the last hour' : `95 % within ${seconds(one.p95Seconds)}`,
          ],
          since === null ? null : ['since', <Ago at={since} />],
          reason === null ? null : ['why', <Foreign text={reason} most={500} />],
          nextProbeAt === null ? null : ['next probe', <Ago at={nextProbeAt} />],
          waitUntil === null ? null : ['asked for time', <Ago at={waitUntil} />],
          ['relay', one.held ? 'has its lane' : 'none has its lane'],
          ...(policy === null ? [] : policyRows(policy)),
          workflowUrl === null ? null : ['workflow', <Outside url={workflowUrl}>{one.workflowId}</Outside>],
        ]}
      />
    </article>
  );
}

const attemptsShown = 14;

function policyRows(policy: NonNullable<Destination['policy']>): (readonly [string, string] | null)[] {
  const { attempts, jitter, timeoutMs, concurrency, rateLimit, ordering, onPark } = policy;
  const spread = jitter === 0 ? '' : `, each delay ± ${Math.round(jitter * 100)} %`;
  const shown = attempts
    .slice(1, attemptsShown)
    .map(({ attempt, sinceFirstMs }) => `${attempt} after ${span(sinceFirstMs)}`);
  const more = attempts.length > attemptsShown ? [`… ${attempts.length} in all`] : [];
  return [
    ['attempts', `${['1 at once', ...shown, ...more].join(', ')}${spread}`],
    ['an attempt', `at most ${span(timeoutMs)}, ${count(concurrency)} under way at once`],
    rateLimit === null ? null : ['rate', `at most ${count(rateLimit.limit)} in ${span(rateLimit.perMs)}`],
    ordering === 'key'
      ? ['order', `by key; a parked event ${onPark === 'block' ? 'holds its key up' : 'lets its key pass'}`]
      : null,
  ];
}

const words = {
  pause: ['Pause', 'Nothing is sent to it until it is resumed. What comes waits; nothing is lost.'],
  resume: ['Resume', 'Sends to it again, whatever held it up.'],
  probe: ['Probe', 'Asks it now whether it is well, without waiting for the next probe.'],
} as const;

function CommandDialog({
  action,
  name,
  onClose,
  onDone,
}: Asked & { readonly onClose: () => void; readonly onDone: () => void }) {
  const [reason, setReason] = useState('');
  const [label, what] = words[action];
  const send = async (): Promise<string> => {
    const path = `/destinations/${name}/${action}`;
    const answer = await ask<{ message: string }>(path, {
      method: 'POST',
      body: JSON.stringify(because(reason)),
    });
    onDone();
    return answer.message;
  };
  return (
    <Dialog title={`${label} ${name}`} action={label} onClose={onClose} onDone={send}>
      <p>{what}</p>
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  );
}
