import { useState } from 'preact/hooks';
import { ask } from '../api.ts';
import { Dialog } from '../dialog.tsx';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, Badge, Button, Empty, Foreign, Loaded } from '../parts.tsx';
import type { StoredToken } from '../types.ts';

export function TokensView() {
  const live = useLive<{ items: readonly StoredToken[] }>('/tokens', 10_000);
  const [revoking, setRevoking] = useState<StoredToken | null>(null);
  return (
    <>
      <h1>Tokens</h1>
      <p class="lead">
        Made with <code>temporal-outbox tokens make NAME</code>; shown once, never again.
      </p>
      <Loaded live={live}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty>None was made.</Empty>
          ) : (
            <ul class="rows">
              {items.map((token) => (
                <li key={token.id} class="card">
                  <strong>
                    <Foreign text={token.name} />
                  </strong>{' '}
                  <Badge tone="calm">{token.payloads ? `${token.role}, payloads` : token.role}</Badge>{' '}
                  <span class="note">
                    made <Ago at={token.madeAt} /> by <Foreign text={token.madeBy} />
                    {token.expiresAt !== null && (
                      <>
                        , until <Ago at={token.expiresAt} />
                      </>
                    )}
                    {token.revokedAt !== null && (
                      <>
                        , revoked <Ago at={token.revokedAt} /> by{' '}
                        <Foreign text={token.revokedBy ?? 'somebody'} />
                      </>
                    )}
                  </span>
                  {token.revokedAt === null && (
                    <div class="buttons">
                      <Button
                        class="danger"
                        why={whyNot('admin')}
                        onClick={() => setRevoking(token)}
                        aria-label={`Revoke token ${token.id}`}
                      >
                        Revoke
                      </Button>
                    </div>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {revoking !== null && (
        <Dialog
          title={`Revoke token ${revoking.id}`}
          action="Revoke"
          danger
          onClose={() => setRevoking(null)}
          onDone={async () => {
            await ask(`/tokens/${revoking.id}/revoke`, { method: 'POST', body: '{}' });
            live.again();
            return `Token ${revoking.id} is revoked`;
          }}
        >
          <p>
            Whoever has the token of <Foreign text={revoking.name} /> is signed out within seconds.
          </p>
        </Dialog>
      )}
    </>
  );
}
