// What is loaded, and loaded again: one clock for all that is live, which a person can stop.

import { useEffect, useRef, useState } from "./preact.js";

const listeners = new Set();
let state = { paused: false, seen: 0, failing: false };

function change(values) {
  state = { ...state, ...values };
  for (const listener of listeners) listener(state);
}

/** Something has answered, or it did not: what is shown is of now, or stale. */
export const noteAnswer = (answered) => change(answered ? { seen: Date.now(), failing: false } : { failing: true });

export const setPaused = (paused) => change({ paused });

/** Whether live views are paused, when something was seen last, and whether the last try failed. */
export function useLiveState() {
  const [value, set] = useState(state);
  useEffect(() => {
    listeners.add(set);
    set(state);
    return () => listeners.delete(set);
  }, []);
  return value;
}

/**
 * What *load(signal)* gives: `{data, error, loading, refresh}`. Again whenever *deps* change, and, with *every*, after
 * so many milliseconds, while the page is seen and not paused. Old data stays until there is new.
 */
export function useLoad(load, deps, every = 0) {
  const [result, set] = useState({ loading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef();
  latest.current = load;
  useEffect(() => set({ loading: true }), deps);
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const again = () => every && !abort.signal.aborted && (timer = setTimeout(run, every));
    const run = async () => {
      if (timer && (state.paused || document.hidden)) return again();
      try {
        const data = await latest.current(abort.signal);
        if (abort.signal.aborted) return;
        set({ data, loading: false });
        if (every) noteAnswer(true);
      } catch (error) {
        if (abort.signal.aborted) return;
        set((before) => ({ ...before, error, loading: false }));
        if (every && error.status === 0) noteAnswer(false);
      }
      again();
    };
    run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [...deps, turn, every]);
  return { ...result, refresh: () => setTurn((before) => before + 1) };
}
