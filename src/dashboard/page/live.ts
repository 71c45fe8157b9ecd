/** What is on the page keeps itself fresh, without flicker, and stops when told to. */
import { signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ask, signedOut, spoken } from './api.ts';

/** While true nothing is asked by itself: not on focus, not when the page comes back either. */
export const paused = signal(false);
/** For ages; once a second, and not while paused. */
export const now = signal(Date.now());
setInterval(() => {
  if (!paused.peek()) now.value = Date.now();
}, 1_000);

export interface Live<Data> {
  /** The latest there is; kept while a newer one is asked for, and when that fails. */
  readonly data: Data | undefined;
  /** When it came. */
  readonly at: number;
  /** Why the last time failed; undefined when it did not. */
  readonly error: string | undefined;
  /** Asks now, paused or not. */
  readonly again: () => void;
}

interface State<Data> {
  readonly path: string;
  readonly data: Data | undefined;
  readonly at: number;
  readonly error: string | undefined;
}

export function useLive<Data>(path: string, everyMs: number): Live<Data> {
  const state = useSignal<State<Data>>({ path, data: undefined, at: 0, error: undefined });
  const asking = useRef<() => void>(() => undefined);
  useEffect(() => {
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (state.peek().path !== path) state.value = { path, data: undefined, at: 0, error: undefined };
    const load = async (): Promise<void> => {
      clearTimeout(timer);
      try {
        const data = await ask<Data>(path, { signal: ended.signal });
        if (!ended.signal.aborted) state.value = { path, data, at: Date.now(), error: undefined };
      } catch (error) {
        if (ended.signal.aborted) return;
        state.value = { ...state.peek(), error: spoken(error) };
      }
      schedule();
    };
    const schedule = (): void => {
      clearTimeout(timer);
      if (ended.signal.aborted) return;
      timer = setTimeout(() => {
        if (paused.peek() || document.hidden || signedOut.peek()) schedule();
        else void load();
      }, everyMs);
    };
    asking.current = () => void load();
    void load();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  const { data, at, error, path: of } = state.value;
  const isThis = of === path;
  return {
    data: isThis ? data : undefined,
    at,
    error: isThis ? error : undefined,
    again: () => asking.current(),
  };
}
