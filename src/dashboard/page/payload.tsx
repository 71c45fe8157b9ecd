import { useState } from 'preact/hooks';
import { printable } from '../../core/printable.ts';
import { ask, spoken } from './api.ts';
import { size } from './format.ts';
import { bytesOf, jsonProblem, pretty, rows16 } from './json.ts';
import { Button, Foreign, Refusal, WhyNot } from './parts.tsx';
import type { ShownPayload } from './types.ts';

interface PayloadProps {
  /** `/letters/12/payload` */
  readonly path: string;
  readonly kind: 'json' | 'bytes';
  readonly bytes: number;
  readonly contentType: string;
  readonly why: string | null;
}

/** Hidden until somebody asks for it: each look stands in the audit. */
export function Payload({ path, kind, bytes, contentType, why }: PayloadProps) {
  const [shown, setShown] = useState<ShownPayload | null>(null);
  const [error, setError] = useState<string | null>(null);
  const look = async (): Promise<void> => {
    try {
      setError(null);
      setShown(await ask<ShownPayload>(path, { method: 'POST', body: '{}' }));
    } catch (failure) {
      setError(spoken(failure));
    }
  };
  return (
    <section class="card" aria-labelledby="payload-title">
      <h2 id="payload-title">Payload</h2>
      <p class="note">
        {size(bytes)} of {kind === 'json' ? 'JSON' : <Foreign text={contentType} />}
      </p>
      {shown === null ? (
        <>
          <div class="buttons">
            <Button why={why} onClick={() => void look()}>
              Show the payload
            </Button>
          </div>
          {why === null ? <p class="note">Each look stands in the audit.</p> : <WhyNot why={why} />}
        </>
      ) : (
        <>
          {shown.encrypted !== undefined && (
            <p class="note">
              Encrypted with key <Foreign text={shown.encrypted.kid ?? '?'} most={100} />
              {shown.encrypted.problem !== null && (
                <>
                  : <Foreign text={shown.encrypted.problem} most={300} />
                </>
              )}
            </p>
          )}
          {shown.payloadBase64 === null ? (
            <JsonText text={shown.payloadText ?? ''} />
          ) : (
            <Hex base64={shown.payloadBase64} />
          )}
          <div class="buttons">
            <Button onClick={() => setShown(null)}>Hide it</Button>
          </div>
        </>
      )}
      <Refusal error={error} />
    </section>
  );
}

const charactersShown = 20_000;

/** As text and nothing else; what is long only when asked for. */
export function JsonText({ text }: { readonly text: string }) {
  const [all, setAll] = useState(false);
  const formatted = jsonProblem(text) === null ? pretty(text) : text;
  const isLong = formatted.length > charactersShown;
  const shown = isLong && !all ? formatted.slice(0, charactersShown) : formatted;
  return (
    <>
      <pre class="payload" tabIndex={0} dir="ltr" aria-label="payload">
        {shown.split('\n').map(inert).join('\n')}
      </pre>
      {isLong && !all && (
        <div class="buttons">
          <Button onClick={() => setAll(true)}>Show all {size(formatted.length)}</Button>
        </div>
      )}
    </>
  );
}

/** JSON escapes control characters itself; marks that turn the direction of text may stand in it as they are. */
function inert(line: string): string {
  return printable(line);
}

const bytesShown = 4096;

export function Hex({ base64 }: { readonly base64: string }) {
  const [all, setAll] = useState(false);
  const bytes = bytesOf(base64);
  const shown = all ? bytes : bytes.subarray(0, bytesShown);
  return (
    <>
      <pre class="payload" tabIndex={0} dir="ltr" aria-label="payload in hexadecimal">
        {rows16(shown)
          .map(({ at, hex, text }) => `${at}  ${hex.padEnd(47)}  ${text}`)
          .join('\n')}
      </pre>
      {bytes.length > bytesShown && !all && (
        <div class="buttons">
          <Button onClick={() => setAll(true)}>Show all {size(bytes.length)}</Button>
        </div>
      )}
    </>
  );
}
