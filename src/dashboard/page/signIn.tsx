import { useEffect, useState } from 'preact/hooks';
import { ask, spoken } from './api.ts';
import { readMe } from './me.ts';
import { Foreign, Mark, Refusal } from './parts.tsx';
import { asQuery, route } from './router.ts';

interface Ways {
  readonly tokens: boolean;
  readonly oidc: { readonly label: string } | null;
}

/** Why somebody came back from the provider and is not signed in. */
const refusals: Readonly<Record<string, string>> = {
  denied: 'The provider did not sign you in.',
  stale: 'That took too long, or was begun in another browser. Try again.',
  'no-role': 'You are signed in there, but none of your groups may use this dashboard. Ask whoever runs it.',
  provider: 'The provider cannot be asked at the moment; the log of whoever serves this page says why.',
};

export function SignIn() {
  const [ways, setWays] = useState<Ways>({ tokens: true, oidc: null });
  useEffect(() => {
    void ask<Ways>('/session')
      .then(setWays)
      .catch(() => undefined);
  }, []);
  const refused = refusals[route.value.query.get('refused') ?? ''];
  const { path, query } = route.value;
  const rest = new URLSearchParams([...query].filter(([name]) => name !== 'refused')).toString();
  const view = `/${path.map(encodeURIComponent).join('/')}${rest === '' ? '' : `?${rest}`}`;
  return (
    <main id="main" class="sign-in">
      <div class="card">
        <h1>
          <Mark /> Sign in
        </h1>
        {refused !== undefined && (
          <p class="refusal" role="alert">
            {refused}
          </p>
        )}
        {ways.oidc !== null && (
          <p>
            <a class="button" href={`./v1/session/oidc${asQuery({ view })}`}>
              Sign in with <Foreign text={ways.oidc.label} most={60} />
            </a>
          </p>
        )}
        {ways.tokens && <ByToken />}
      </div>
    </main>
  );
}

function ByToken() {
  const [token, setToken] = useState('');
  const [error, setError] = useState<string | null>(null);
  const signIn = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      await ask('/session', { method: 'POST', body: JSON.stringify({ token: token.trim() }) });
      setToken('');
      await readMe();
    } catch (failure) {
      setError(spoken(failure));
    }
  };
  return (
    <form onSubmit={(event) => void signIn(event)}>
      <label class="field">
        <span>Token</span>
        <input
          type="password"
          autocomplete="current-password"
          required
          maxLength={512}
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <Refusal error={error} />
      <div class="buttons">
        <button type="submit" class="main">
          Sign in
        </button>
      </div>
      <p class="note">
        Whoever runs this outbox makes one: <code>temporal-outbox tokens make NAME --role operator</code>
      </p>
    </form>
  );
}
