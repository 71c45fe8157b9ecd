/** The editor of a letter: what was, what will be, and what differs. */
import { diffLines } from 'diff';
import { useMemo, useState } from 'preact/hooks';
import { printable } from '../../core/printable.ts';
import { ask } from './api.ts';
import { Dialog, ReasonField, because } from './dialog.tsx';
import { things } from './format.ts';
import { bytesOf, jsonProblem, pretty, rows16 } from './json.ts';
import type { Letter, ShownPayload } from './types.ts';

interface EditProps {
  readonly letter: Letter;
  readonly payload: ShownPayload;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

export function EditDialog({ letter, payload, onClose, onDone }: EditProps) {
  const isBytes = payload.payloadBase64 !== null;
  const before = isBytes ? (payload.payloadBase64 ?? '') : pretty(payload.payloadText ?? 'null');
  const [text, setText] = useState(before);
  const [headerText, setHeaders] = useState(JSON.stringify(payload.headers, null, 2));
  const [reason, setReason] = useState('');
  const problem = isBytes ? base64Problem(text) : jsonProblem(text);
  const headerProblem = headersProblem(headerText);
  const headersChanged =
    headerProblem === null && headerText.trim() !== JSON.stringify(payload.headers, null, 2);
  const after = problem === null && !isBytes ? pretty(text) : text;
  const payloadChanged = after !== before;
  const notYet =
    problem !== null
      ? `The payload: ${problem}`
      : headerProblem !== null
        ? `The headers: ${headerProblem}`
        : payloadChanged || headersChanged
          ? null
          : 'Nothing is changed yet.';
  const send = async (): Promise<string> => {
    // Put together as text: what was typed is what is sent, to the last digit.
    const parts = [
      ...(payloadChanged
        ? [isBytes ? `"payloadBase64":${JSON.stringify(text.trim())}` : `"payload":${text}`]
        : []),
      ...(headersChanged ? [`"headers":${headerText}`] : []),
      ...Object.entries(because(reason)).map(([name, value]) => `"${name}":${JSON.stringify(value)}`),
    ];
    const answer = await ask<{ message: string }>(`/letters/${letter.id}/edit`, {
      method: 'POST',
      body: `{${parts.join(',')}}`,
      ifMatch: payload.version ?? letter.version,
    });
    onDone();
    return answer.message;
  };
  return (
    <Dialog
      title={`Edit letter ${letter.id}`}
      action="Send the edited event"
      wide
      onClose={onClose}
      onDone={send}
      notYet={notYet}
    >
      <p class="note">The edited event is sent under a new key. The original is kept.</p>
      <label class="field">
        <span>{isBytes ? 'Payload, bytes in base64' : 'Payload, JSON'}</span>
        <textarea
          class="code"
          rows={Math.min(Math.max(before.split('\n', 21).length + 1, 8), 20)}
          spellcheck={false}
          dir="ltr"
          value={text}
          aria-invalid={problem !== null}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <details>
        <summary>Headers</summary>
        <label class="field">
          <span>An object of texts; those it has stay unless they are given here</span>
          <textarea
            class="code"
            rows={5}
            spellcheck={false}
            value={headerText}
            aria-invalid={headerProblem !== null}
            onInput={(event) => setHeaders(event.currentTarget.value)}
          />
        </label>
      </details>
      <h3>What changes</h3>
      {problem !== null ? (
        <p class="note">{problem}</p>
      ) : (
        <Diff before={asLines(before, isBytes)} after={asLines(after, isBytes)} />
      )}
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  );
}

function asLines(text: string, isBytes: boolean): string {
  if (!isBytes) return text;
  return rows16(bytesOf(text.trim()))
    .map((row) => `${row.hex}  ${row.text}`)
    .join('\n');
}

function base64Problem(text: string): string | null {
  const trimmed = text.trim();
  return trimmed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(trimmed) ? null : 'it is not base64';
}

function headersProblem(text: string): string | null {
  const problem = jsonProblem(text);
  if (problem !== null) return problem;
  const value: unknown = JSON.parse(text);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && Object.values(value).every((each) => typeof each === 'string')
    ? null
    : 'expected an object whose values are texts';
}

const linesAround = 3;

/** Line by line, on text: two numbers that JavaScript takes for one are two lines here. */
export function Diff({ before, after }: { readonly before: string; readonly after: string }) {
  const lines = useMemo(() => changedLines(before, after), [before, after]);
  if (lines === null) return <p class="note">The two differ in too much to be drawn.</p>;
  if (lines.every(({ sign }) => sign === ' ')) return <p class="note">Nothing yet.</p>;
  return (
    <div class="diff" role="region" aria-label="what changes" tabIndex={0}>
      {lines.map(({ sign, text }, index) =>
        sign === '…' ? (
          <p key={index} class="skipped">
            {text}
          </p>
        ) : sign === ' ' ? (
          <p key={index}>
            <span aria-hidden="true">{'  '}</span>
            {printable(text)}
          </p>
        ) : sign === '+' ? (
          <ins key={index}>
            <span aria-hidden="true">{'+ '}</span>
            {printable(text)}
          </ins>
        ) : (
          <del key={index}>
            <span aria-hidden="true">{'− '}</span>
            {printable(text)}
          </del>
        ),
      )}
    </div>
  );
}

interface Line {
  readonly sign: ' ' | '+' | '-' | '…';
  readonly text: string;
}

function changedLines(before: string, after: string): Line[] | null {
  const parts = diffLines(`${before}\n`, `${after}\n`, { timeout: 500 });
  if (parts === undefined) return null;
  return parts.flatMap(({ value, added, removed }, index): Line[] => {
    const lines = value.replace(/\n$/, '').split('\n');
    if (added || removed) return lines.map((text) => ({ sign: added ? '+' : '-', text }));
    const head = index === 0 ? 0 : linesAround;
    const tail = index === parts.length - 1 ? 0 : linesAround;
    const same = (some: readonly string[]): Line[] => some.map((text) => ({ sign: ' ', text }));
    if (lines.length <= head + tail + 1) return same(lines);
    return [
      ...same(lines.slice(0, head)),
      { sign: '…', text: `${things(lines.length - head - tail, 'line')} as before` },
      ...same(tail === 0 ? [] : lines.slice(-tail)),
    ];
  });
}
