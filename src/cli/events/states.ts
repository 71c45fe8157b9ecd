import { eventStates, type EventState } from '../../core/eventState.ts';

/** What `status` and the Temporal UI call two states of a row. */
const shown = { claimed: 'delivering', retry: 'retrying' } as const;

/** A state as people read it. JSON has that of the row. */
export function shownState(state: string): string {
  return state === 'claimed' || state === 'retry' ? shown[state] : state;
}

export const shownStates = eventStates.map(shownState);

export function storedState(state: string): EventState | undefined {
  return eventStates.find((each) => shownState(each) === state);
}
