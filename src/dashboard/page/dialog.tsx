import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { spoken } from './api.ts';
import { Button, Foreign, Refusal } from './parts.tsx';

/** What the last command came to, for everybody who listens. */
export const said = signal<{ readonly text: string; readonly tone: 'good' | 'bad' } | null>(null);

export function say(text: string, tone: 'good' | 'bad' = 'good'): void {
  said.value = { text, tone };
}

export function Said() {
  const one = said.value;
  return (
    <div class="said" role="status" aria-live="polite">
      {one !== null && (
        <div class={`message ${one.tone}`}>
          <Foreign text={one.text} />
          <Button aria-label="Close this message" onClick={() => (said.value = null)}>
            ×
          </Button>
        </div>
      )}
    </div>
  );
}

interface DialogProps {
  readonly title: string;
  /** On the button that does it. */
  readonly action: string;
  readonly onClose: () => void;
  /** What it came to, to be said; whatever it throws is shown here, and the dialog stays. */
  readonly onDone: () => Promise<string>;
  /** Why it cannot be done yet; null: it can. */
  readonly notYet?: string | null;
  readonly wide?: boolean;
  readonly danger?: boolean;
  readonly children: ComponentChildren;
}

/** Asks before something is done. Escape leaves it, as does Cancel. */
export function Dialog({
  title,
  action,
  onClose,
  onDone,
  notYet = null,
  wide,
  danger,
  children,
}: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || notYet !== null) return;
    setBusy(true);
    setError(null);
    try {
      say(await onDone());
      onClose();
    } catch (failure) {
      setError(spoken(failure));
      setBusy(false);
    }
  };
  return (
    <dialog
      ref={element}
      class={wide === true ? 'wide' : ''}
      aria-labelledby="dialog-title"
      onClose={onClose}
    >
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        <Refusal error={error} />
        {notYet !== null && <p class="why">{notYet}</p>}
        <div class="buttons">
          <button
            type="submit"
            class={danger === true ? 'danger' : 'main'}
            aria-disabled={busy || notYet !== null}
          >
            {busy ? 'Waiting for the answer …' : action}
          </button>
          <Button onClick={() => element.current?.close()}>Cancel</Button>
        </div>
      </form>
    </dialog>
  );
}

export function ReasonField({
  value,
  onInput,
  required = false,
}: {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly required?: boolean;
}) {
  return (
    <label class="field">
      <span>Reason{required ? '' : ' (optional)'}, for the record</span>
      <input
        type="text"
        maxLength={1000}
        autocomplete="off"
        value={value}
        required={required}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </label>
  );
}

/** As a body of the API has it. */
export function because(reason: string): { reason?: string } {
  const trimmed = reason.trim();
  return trimmed === '' ? {} : { reason: trimmed };
}
