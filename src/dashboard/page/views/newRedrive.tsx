import { useState } from 'preact/hooks';
import { ask, spoken } from '../api.ts';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Button, Refusal, WhyNot } from '../parts.tsx';
import { bodyOf, draftProblem, emptyDraft, filterNames, type Draft } from '../redriveRequest.ts';
import { go, route, to } from '../router.ts';
import type { Destination } from '../types.ts';

/** Which letters, what is done with them, and how fast. Nothing is sent: a preview comes of it. */
export function NewRedriveView() {
  const { query } = route.value;
  const [draft, setDraft] = useState<Draft>(() => ({
    ...emptyDraft,
    ...Object.fromEntries(filterNames.map((name) => [name, query.get(name) ?? ''])),
  }));
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const set = (some: Partial<Draft>): void => setDraft({ ...draft, ...some });
  const { action } = draft;
  const may = whyNot('act') ?? (action === 'edit' || draft.payload !== '' ? whyNot('payloads') : null);
  const problem = draftProblem(draft);
  const why = may ?? problem;
  const preview = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || why !== null) return;
    setBusy(true);
    setError(null);
    try {
      const { id } = await ask<{ id: number }>('/redrives', { method: 'POST', body: bodyOf(draft) });
      go(`/redrives/${id}`);
    } catch (failure) {
      setError(spoken(failure));
      setBusy(false);
    }
  };
  return (
    <>
      <p class="crumbs">
        <a href={to('/redrives')}>Redrives</a> › new
      </p>
      <h1>New redrive</h1>
      <p class="lead">
        First a preview: it freezes which open letters match, and sends nothing. You start it, or not, on the
        next page.
      </p>
      <form onSubmit={(event) => void preview(event)}>
        <div class="columns">
          <Which draft={draft} set={set} />
          <What draft={draft} set={set} />
        </div>
        <Refusal error={error} />
        {may === null ? problem !== null && <p class="why">{problem}</p> : <WhyNot why={may} />}
        <div class="buttons">
          <button type="submit" class="main" aria-disabled={busy || why !== null} title={why ?? undefined}>
            {busy ? 'Counting …' : 'Preview'}
          </button>
          <Button onClick={() => go('/redrives')}>Back</Button>
        </div>
      </form>
    </>
  );
}

interface PartProps {
  readonly draft: Draft;
  readonly set: (some: Partial<Draft>) => void;
}

const fields = [
  ['cause', 'Cause, its id', ''],
  ['type', 'Event type', 'order.*'],
  ['key', 'Key', ''],
  ['status', 'Status of the last answer', '422'],
  ['text', 'A text within the last error', ''],
  ['parkedFor', 'Parked for', 'permanent'],
  ['since', 'Parked since', '2h, or a time'],
  ['until', 'Parked before', '10m, or a time'],
  ['payload', 'Payload, a jsonpath', '$.total > 100'],
  ['letters', 'Letters, by number', '12, 13'],
] as const;

function Which({ draft, set }: PartProps) {
  const isEmpty = filterNames.every((name) => draft[name].trim() === '');
  // What is seldom asked for stays folded, unless something stands in it.
  const rare = fields.slice(3);
  const isOpen = rare.some(([name]) => draft[name] !== '');
  return (
    <section class="card" aria-labelledby="which-title">
      <h2 id="which-title">Which letters</h2>
      <Names
        label="Destination"
        all
        value={draft.destination}
        onChange={(destination) => set({ destination })}
      />
      {fields.slice(0, 3).map(([name, label, hint]) => (
        <Text
          key={name}
          label={label}
          hint={hint}
          value={draft[name]}
          onInput={(text) => set({ [name]: text })}
        />
      ))}
      <details open={isOpen}>
        <summary>More</summary>
        {rare.map(([name, label, hint]) => (
          <Text
            key={name}
            label={label}
            hint={hint}
            value={draft[name]}
            onInput={(text) => set({ [name]: text })}
          />
        ))}
      </details>
      {isEmpty && <p class="note">As it stands: all open letters.</p>}
    </section>
  );
}

const actions = [
  ['retry', 'Retry: sent again, the same key'],
  ['edit', 'Edit: one JSON Patch for all, a new key'],
  ['redirect', 'Redirect: to another destination instead'],
  ['discard', 'Discard: given up'],
] as const;

function What({ draft, set }: PartProps) {
  const { action } = draft;
  return (
    <section class="card" aria-labelledby="what-title">
      <h2 id="what-title">What, and how fast</h2>
      <label class="field">
        <span>Action</span>
        <select
          value={action}
          onChange={(event) => set({ action: event.currentTarget.value as Draft['action'] })}
        >
          {actions.map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {action === 'edit' && (
        <label class="field">
          <span>JSON Patch</span>
          <textarea
            class="code"
            rows={4}
            spellcheck={false}
            dir="ltr"
            placeholder='[{"op": "replace", "path": "/currency", "value": "EUR"}]'
            value={draft.patch}
            onInput={(event) => set({ patch: event.currentTarget.value })}
          />
        </label>
      )}
      {action === 'redirect' && <Names label="To" value={draft.to} onChange={(name) => set({ to: name })} />}
      <Text
        label="Steps, the first one is the canary"
        hint="1, 5, 50"
        value={draft.steps}
        onInput={(steps) => set({ steps })}
      />
      <Text
        label="Then letters a second; empty: the last step repeats"
        hint="50"
        value={draft.rate}
        onInput={(rate) => set({ rate })}
      />
      <Text
        label="Stop at more failures than, %"
        hint="10"
        value={draft.maxFailures}
        onInput={(maxFailures) => set({ maxFailures })}
      />
      <Text
        label={`Reason${action === 'discard' ? '' : ' (optional)'}, for the record`}
        hint=""
        value={draft.reason}
        onInput={(reason) => set({ reason })}
      />
    </section>
  );
}

function Text({
  label,
  hint,
  value,
  onInput,
}: {
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
}) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="text"
        maxLength={1000}
        autocomplete="off"
        spellcheck={false}
        placeholder={hint}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

function Names({
  label,
  all = false,
  value,
  onChange,
}: {
  readonly label: string;
  /** Whether it may be left open. */
  readonly all?: boolean;
  readonly value: string;
  readonly onChange: (value: string) => void;
}) {
  const known = useLive<{ items: readonly Destination[] }>('/destinations', 60_000).data?.items ?? [];
  const names = new Set([...known.map(({ destination }) => destination), ...(value === '' ? [] : [value])]);
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{all ? 'all' : 'choose'}</option>
        {[...names].map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
