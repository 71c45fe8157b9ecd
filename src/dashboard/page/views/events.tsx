import { useState } from 'preact/hooks';
import { Empty } from '../parts.tsx';
import { go } from '../router.ts';

export function EventsView() {
  const [text, setText] = useState('');
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text.trim());
  return (
    <>
      <h1>Events</h1>
      <form
        class="filters"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          if (isId) go(`/events/${text.trim().toLowerCase()}`);
        }}
      >
        <label class="field grow">
          <span>Event id</span>
          <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <div class="buttons">
          <button type="submit" aria-disabled={!isId}>
            Find
          </button>
        </div>
      </form>
      <Empty>Give the id of an event.</Empty>
    </>
  );
}
