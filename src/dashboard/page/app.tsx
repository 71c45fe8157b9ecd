/** The frame around every view: which outbox this is, where one can go, who is here. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ask, signedOut } from './api.ts';
import { Said } from './dialog.tsx';
import { paused } from './live.ts';
import { me, meError, readMe } from './me.ts';
import { Boundary, Button, Foreign, Mark } from './parts.tsx';
import { route, to } from './router.ts';
import { SignIn } from './signIn.tsx';
import { CausesView } from './views/causes.tsx';
import { DestinationsView } from './views/destinations.tsx';
import { EventView } from './views/event.tsx';
import { EventsView } from './views/events.tsx';
import { LetterView } from './views/letter.tsx';
import { LettersView } from './views/letters.tsx';
import { MessageView, MessagesView } from './views/messages.tsx';
import { NewRedriveView } from './views/newRedrive.tsx';
import { OverviewView } from './views/overview.tsx';
import { RedriveView } from './views/redrive.tsx';
import { RedrivesView } from './views/redrives.tsx';
import { TokensView } from './views/tokens.tsx';

const places = [
  ['', 'Overview'],
  ['causes', 'Causes'],
  ['letters', 'Letters'],
  ['redrives', 'Redrives'],
  ['destinations', 'Destinations'],
  ['events', 'Events'],
  ['messages', 'Half messages'],
] as const;

function view(): ComponentChildren {
  const { path } = route.value;
  const [first = '', second] = path;
  switch (first) {
    case '':
      return <OverviewView />;
    case 'causes':
      return <CausesView />;
    case 'letters':
      return second === undefined ? <LettersView /> : <LetterView key={second} id={second} />;
    case 'redrives':
      return second === undefined ? (
        <RedrivesView />
      ) : second === 'new' ? (
        <NewRedriveView />
      ) : (
        <RedriveView key={second} id={second} />
      );
    case 'destinations':
      return <DestinationsView />;
    case 'events':
      return second === undefined ? <EventsView /> : <EventView key={second} id={second} />;
    case 'messages':
      return second === undefined ? <MessagesView /> : <MessageView key={second} id={second} />;
    case 'tokens':
      return <TokensView />;
    default:
      return (
        <p class="empty">
          There is no such view. <a href={to('/')}>To the overview</a>
        </p>
      );
  }
}

export function App() {
  const views = useRef<HTMLElement>(null);
  const [first = ''] = route.value.path;
  const isOut = signedOut.value;
  // On a narrow screen the list of views scrolls: where one is stays in sight.
  useEffect(() => {
    const show = (): void =>
      views.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    show();
    addEventListener('resize', show);
    return () => removeEventListener('resize', show);
  }, [first, isOut]);
  if (isOut) return <SignIn />;
  const isAdmin = me.value?.role === 'admin' && me.value.by !== 'machine';
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        To the content
      </a>
      <Head />
      <nav aria-label="Views" ref={views}>
        <ul>
          {[...places, ...(isAdmin ? ([['tokens', 'Tokens']] as const) : [])].map(([name, label]) => (
            <li key={name}>
              <a href={to(`/${name}`)} aria-current={name === first ? 'page' : undefined}>
                {label}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" tabIndex={-1}>
        {meError.value !== null && (
          <div class="failed" role="alert">
            <p>
              <Foreign text={meError.value} />
            </p>
            <Button onClick={() => void readMe()}>Try again</Button>
          </div>
        )}
        <Boundary key={route.value.path.join('/')} what="This view">
          {view()}
        </Boundary>
      </main>
      <Said />
    </>
  );
}

function Head() {
  const known = me.value;
  const production = known?.instance.production === true;
  return (
    <header class={production ? 'production' : ''}>
      <a class="name" href={to('/')}>
        <Mark />
        <Foreign text={known?.instance.title ?? 'outbox'} most={60} />
      </a>
      {production && <strong class="mark">production</strong>}
      <span class="rest">
        <Button
          class={paused.value ? 'quiet on' : 'quiet'}
          aria-pressed={paused.value}
          title={paused.value ? 'Nothing is read by itself' : 'The page reads itself again every few seconds'}
          onClick={() => (paused.value = !paused.value)}
        >
          {paused.value ? 'Paused' : 'Live'}
        </Button>
        {known !== null && (
          <span class="me">
            <Foreign text={known.name} most={40} />
            <span class="role">{known.by === 'machine' ? 'this machine' : known.role}</span>
          </span>
        )}
        {(known?.by === 'token' || known?.by === 'oidc') && (
          <Button class="quiet" onClick={() => void signOut()}>
            Sign out
          </Button>
        )}
      </span>
    </header>
  );
}

async function signOut(): Promise<void> {
  await ask('/session', { method: 'DELETE' }).catch(() => undefined);
  me.value = null;
  signedOut.value = true;
}
