// What happens in the service, by its one stream of events: counts each second, and notices of what a person may want
// to know. It is followed while somebody looks, as a browser has few connections for all its tabs together.

import { useEffect, useRef, useState } from "./preact.js";
import { noteAnswer, useLiveState } from "./live.js";

const KINDS = [
  "failed",
  "dead",
  "paused",
  "resumed",
  "breaker_opened",
  "breaker_closed",
  "refused",
  "action",
  "missed",
];
const TICKS = 180; // three minutes
const NOTICES = 30;
const AGAIN = 5000; // where it was refused, as when there is no place for another stream

/** The last ticks and notices, newest last; *noticed* is called for each notice. */
export function useFeed(noticed) {
  const { paused } = useLiveState();
  const [feed, set] = useState({ ticks: [], notices: [] });
  const latest = useRef();
  latest.current = noticed;
  useEffect(() => {
    if (paused) return;
    const source = follow(set, (notice) => latest.current(notice));
    document.addEventListener("visibilitychange", source.turn);
    source.turn();
    return () => {
      document.removeEventListener("visibilitychange", source.turn);
      source.close();
    };
  }, [paused]);
  return feed;
}

function follow(set, noticed) {
  let source = null;
  let timer = 0;
  const open = () => {
    source = new EventSource("/v1/events");
    source.addEventListener("tick", (event) => {
      noteAnswer(true);
      set((before) => ({ ...before, ticks: [...before.ticks, JSON.parse(event.data)].slice(-TICKS) }));
    });
    source.addEventListener("error", () => {
      noteAnswer(false);
      if (source?.readyState !== EventSource.CLOSED) return; // it comes again by itself
      close();
      timer = setTimeout(turn, AGAIN);
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        const notice = { ...JSON.parse(event.data), kind, key: Math.random() };
        set((before) => ({ ...before, notices: [...before.notices, notice].slice(-NOTICES) }));
        noticed(notice);
      });
    }
  };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const turn = () => (document.hidden ? close() : source || open());
  return { close, turn };
}
