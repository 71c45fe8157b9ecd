import { useState } from 'preact/hooks';
import { ask } from '../api.ts';
import { because, Dialog, ReasonField } from '../dialog.tsx';
import { Audit, Headers } from '../history.tsx';
import { useLive } from '../live.ts';
import { whyNot } from '../me.ts';
import { Ago, Boundary, Button, Empty, Facts, Foreign, Loaded, Outside, State, WhyNot } from '../parts.tsx';
import { Payload } from '../payload.tsx';
import { asQuery, go, route, to } from '../router.ts';
import type { HalfMessage, MessageState, Page } from '../types.ts';

export function MessagesView() {
  const { query } = route.value;
  const [status, cursor] = [query.get('status'), query.get('cursor')];
  const live = useLive<Page<MessageState, string>>(`/half-messages${asQuery({ status, cursor })}`, 5_000);
  return (
    <>
      <h1>Half messages</h1>
      <p class="lead">Prepared by a producer, and not committed yet.</p>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          <span>State</span>
          <select
            value={status ?? 'open'}
            onChange={(event) => go('/messages', { status: event.currentTarget.value })}
          >
            {['open', 'parked', 'settled', 'all'].map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </form>
      <Loaded live={live}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty>
              {status === null || status === 'open' ? 'No half message waits.' : 'There is none.'}
            </Empty>
          ) : (
            <>
              <ul class="rows">
                {items.map((message) => (
                  <li key={message.id} class="card">
                    <Boundary what={`Half message ${message.id}`}>
                      <a href={to(`/messages/${message.id}`)}>
                        <Foreign text={message.type} most={100} />
                      </a>{' '}
                      <State state={message.state} />{' '}
                      <span class="note">
                        of {message.producer}, prepared <Ago at={message.preparedAt} />, asked back{' '}
                        {message.checks} times
                        {message.lastAnswer !== null && (
                          <>
                            : <Foreign text={message.lastAnswer} most={200} />
                          </>
                        )}
                      </span>
                    </Boundary>
                  </li>
                ))}
              </ul>
              {next !== null && (
                <div class="buttons">
                  <a class="button" href={to('/messages', { status, cursor: next })}>
                    Older ones
                  </a>
                </div>
              )}
            </>
          )
        }
      </Loaded>
    </>
  );
}

const words = {
  commit: [
    'Commit',
    'Makes it an event, which is delivered at once. Only where its producer did what it tells of.',
  ],
  rollback: ['Roll back', 'Takes it back. Only where its producer did not do what it tells of.'],
  check: ['Ask again', 'Asks its producer again, its schedule from the beginning.'],
} as const;
type Action = keyof typeof words;

export function MessageView({ id }: { readonly id: string }) {
  const live = useLive<HalfMessage>(`/half-messages/${encodeURIComponent(id)}`, 4_000);
  const [doing, setDoing] = useState<Action | null>(null);
  return (
    <Loaded live={live}>
      {(message) => {
        const why = whyNot('act') ?? (message.settledAt === null ? null : `it is ${message.state}`);
        const { content } = message;
        return (
          <>
            <p class="crumbs">
              <a href={to('/messages')}>Half messages</a> › {message.id}
            </p>
            <h1>
              <Foreign text={message.type} most={120} /> <span class="to">of {message.producer}</span>{' '}
              <State state={message.state} />
            </h1>
            <div class="actions">
              <div class="buttons">
                {(['commit', 'rollback', 'check'] as const).map((action) => (
                  <Button
                    key={action}
                    why={why}
                    class={action === 'rollback' ? 'danger' : ''}
                    onClick={() => setDoing(action)}
                  >
                    {words[action][0]}
                  </Button>
                ))}
              </div>
              <WhyNot why={why} />
            </div>
            <div class="columns">
              <section class="card" aria-labelledby="message-title">
                <h2 id="message-title">How it stands</h2>
                <Facts
                  rows={[
                    ['prepared', <Ago at={message.preparedAt} />],
                    ['asked back', `${message.checks} times without an answer that tells`],
                    message.lastAnswer === null
                      ? null
                      : ['last answer', <Foreign text={message.lastAnswer} most={500} />],
                    message.nextCheckAt === null ? null : ['next', <Ago at={message.nextCheckAt} />],
                    message.parkedAt === null ? null : ['parked', <Ago at={message.parkedAt} />],
                    message.settledAt === null
                      ? null
                      : [
                          'settled',
                          <>
                            <Ago at={message.settledAt} /> by{' '}
                            <Foreign text={message.settledBy ?? 'somebody'} />
                          </>,
                        ],
                    message.eventId === null
                      ? null
                      : ['event', <a href={to(`/events/${message.eventId}`)}>{message.eventId}</a>],
                    content?.key == null ? null : ['key', <Foreign text={content.key} />],
                    content === null || Object.keys(content.headers).length === 0
                      ? null
                      : ['headers', <Headers headers={content.headers} />],
                    message.workflowId === null
                      ? null
                      : ['workflow', <Outside url={message.workflowUrl}>{message.workflowId}</Outside>],
                  ]}
                />
              </section>
              {content !== null && (
                <Payload
                  path={`/half-messages/${message.id}/payload`}
                  kind={content.payloadKind}
                  bytes={content.payloadSize}
                  contentType={content.contentType}
                  why={whyNot('payloads')}
                />
              )}
            </div>
            <section class="card" aria-labelledby="audit-title">
              <h2 id="audit-title">What was done</h2>
              <Audit audit={message.audit} />
            </section>
            {doing !== null && (
              <SettleDialog
                action={doing}
                id={message.id}
                onClose={() => setDoing(null)}
                onDone={live.again}
              />
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function SettleDialog({
  action,
  id,
  onClose,
  onDone,
}: {
  readonly action: Action;
  readonly id: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const [reason, setReason] = useState('');
  const [label, what] = words[action];
  const send = async (): Promise<string> => {
    const path = `/half-messages/${id}/${action}`;
    const answer = await ask<{ message: string }>(path, {
      method: 'POST',
      body: JSON.stringify(because(reason)),
    });
    onDone();
    return answer.message;
  };
  return (
    <Dialog
      title={`${label} this message`}
      action={label}
      danger={action === 'rollback'}
      onClose={onClose}
      onDone={send}
    >
      <p>{what}</p>
      <ReasonField value={reason} onInput={setReason} />
    </Dialog>
  );
}
