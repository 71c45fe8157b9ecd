/** What happened: attempts, and who did what. */
import { printable } from '../../core/printable.ts';
import { span } from './format.ts';
import { At, Boundary, Empty, Facts, Foreign, State } from './parts.tsx';
import { whoDid } from '../../core/whoDid.ts';
import type { AuditLine, EventAuditLine, RecordedAttempt } from './types.ts';

export function Attempts({ attempts }: { readonly attempts: readonly RecordedAttempt[] }) {
  if (attempts.length === 0) return <Empty>None was recorded.</Empty>;
  return (
    <ol class="history">
      {attempts.toReversed().map((attempt) => (
        <li key={`${attempt.revision} ${attempt.try} ${attempt.at}`}>
          <Boundary what={`Attempt ${attempt.try}`}>
            <Attempt attempt={attempt} />
          </Boundary>
        </li>
      ))}
    </ol>
  );
}

function Attempt({ attempt }: { readonly attempt: RecordedAttempt }) {
  const {
    at,
    try: number,
    status,
    errorClass,
    message,
    excerpt,
    durationMs,
    address,
    headers,
    charged,
  } = attempt;
  const took = durationMs === null ? null : span(durationMs);
  return (
    <details>
      <summary>
        <span class="line">
          <strong>Attempt {number}</strong>{' '}
          {errorClass === null ? (
            <State state="delivered" />
          ) : (
            <State state={status === null ? errorClass : String(status)} />
          )}{' '}
          <Foreign text={message ?? 'acknowledged'} most={160} />
          <span class="note">
            {' '}
            <At at={at} />
            {took === null ? '' : `, took ${took}`}
          </span>
        </span>
      </summary>
      <Facts
        rows={[
          ['sent to', address === null ? null : <Foreign text={address} />],
          ['with', headers === null ? null : <Headers headers={headers} />],
          [
            'answer',
            excerpt === null || excerpt === '' ? null : (
              <pre class="answer" tabIndex={0}>
                {printable(excerpt, 8000)}
              </pre>
            ),
          ],
          ['class', errorClass],
          ['charged', charged ? 'yes' : 'no: it cost no attempt'],
        ]}
      />
    </details>
  );
}

export function Headers({ headers }: { readonly headers: Readonly<Record<string, string>> }) {
  const entries = Object.entries(headers);
  if (entries.length === 0) return <>none</>;
  return (
    <ul class="plain headers">
      {entries.map(([name, value]) => (
        <li key={name}>
          <Foreign text={name} most={100} />: <Foreign text={value} most={500} />
        </li>
      ))}
    </ul>
  );
}

/** How it is known who it was: a claim is nobody's proof. */
function How({ line }: { readonly line: AuditLine }) {
  const { how } = whoDid(line);
  if (how === null) return null;
  return (
    <span class="note">
      {' '}
      (<Foreign text={how} most={200} />)
    </span>
  );
}

export function Audit({ audit }: { readonly audit: readonly (AuditLine | EventAuditLine)[] }) {
  if (audit.length === 0) return <Empty>Nobody has done anything yet.</Empty>;
  return (
    <ol class="history">
      {audit.toReversed().map((line, index) => (
        <li key={`${line.at} ${index}`}>
          <span class="line">
            <strong>{line.action}</strong> <State state={line.outcome} /> by{' '}
            <Foreign text={whoDid(line).who} most={100} />
            <How line={line} />: <Foreign text={line.message} most={400} />
            {line.reason !== null && (
              <>
                {' '}
                (<Foreign text={line.reason} most={400} />)
              </>
            )}
            <span class="note">
              {' '}
              <At at={line.at} />, via {line.via}
            </span>
          </span>
        </li>
      ))}
    </ol>
  );
}
