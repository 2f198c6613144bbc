// The outputs of a resource as they come, and what calls under way show of theirs, by its stream of events.

import { html, useEffect, useRef, useState } from "./preact.js";
import { number, shown } from "./format.js";
import { useLiveState } from "./live.js";
import { Card, useSession } from "./parts.js";

const KEPT = 300; // lines, so that a page that is open for days stays small
const NOTHING = { lines: [], interim: [], count: 0, ended: "" };
const AT_END = 40; // pixels from the end of the list within which it goes on by itself

export function Outputs({ path }) {
  const { payloads } = useSession();
  if (!payloads) {
    return html`<${Card} title="Outputs"><p class="muted">Outputs are not shown here: the setting <code>ui_payloads</code> shows them.</p><//>`;
  }
  return html`<${Live} path=${path} />`;
}

function Live({ path }) {
  const { paused } = useLiveState();
  const [begun, setBegun] = useState(false);
  const [asText, setAsText] = useState(true);
  const [seen, setSeen] = useState(NOTHING);
  const last = useRef(0);
  const list = useRef();
  const atEnd = useRef(true);
  useEffect(() => {
    if (atEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [seen]);
  useEffect(() => {
    if (!begun || paused || seen.ended) return;
    let lines = [];
    let count = 0;
    let timer = 0;
    const interim = new Map(); // the latest of each packet that is being processed
    const flush = () => {
      clearTimeout(timer);
      const came = { lines, count };
      [lines, count, timer] = [[], 0, 0];
      setSeen((now) => ({
        ...now,
        lines: [...now.lines, ...came.lines].slice(-KEPT),
        interim: [...interim.values()].slice(-KEPT),
        count: now.count + came.count,
      }));
    };
    const soon = () => (timer ||= setTimeout(flush, 100)); // ten times a second at most, however fast they come
    const add = (failed) => (event) => {
      const data = JSON.parse(event.data);
      last.current = data.seq;
      lines.push({ ...data, failed });
      count++;
      if (lines.length > KEPT) lines.shift();
      interim.delete(data.index);
      soon();
    };
    const source = new EventSource(`${path}/events?after_seq=${last.current}`);
    source.addEventListener("output", add(false));
    source.addEventListener("failed", add(true));
    source.addEventListener("partial", (event) => {
      const data = JSON.parse(event.data);
      interim.set(data.index, data);
      soon();
    });
    source.addEventListener("reset", () => {
      last.current = 0;
      [lines, count] = [[], 0];
      interim.clear();
      setSeen(NOTHING);
    });
    source.addEventListener("end", (event) => {
      source.close();
      interim.clear();
      flush();
      setSeen((before) => ({ ...before, ended: JSON.parse(event.data).state }));
    });
    return () => {
      source.close();
      if (timer) flush(); // it goes on behind these
    };
  }, [path, begun, paused, seen.ended]);
  const actions = html`<div class="inline">
    ${
      begun
        ? html`<label><input type="checkbox" checked=${asText} onChange=${() => setAsText(!asText)} /> as text</label>`
        : html`<button type="button" onClick=${() => setBegun(true)}>Follow</button>`
    }
  </div>`;
  const text = (one) => (asText ? shown(one.output) : JSON.stringify(one.output));
  const state = !begun
    ? "in the order in which they were recorded"
    : seen.ended
      ? `ended: ${seen.ended}`
      : paused
        ? "paused"
        : "live";
  return html`<${Card} title="Outputs" note=${state} actions=${actions}>
    ${seen.count > seen.lines.length && html`<p class="muted">The last ${number(KEPT)}.</p>`}
    ${begun && !seen.lines.length && !seen.interim.length && html`<p class="muted">${seen.ended ? "There are none." : "None yet."}</p>`}
    ${
      begun &&
      html`<ol class="outputs" tabindex="0" aria-label="Outputs" ref=${list}
      onScroll=${({ target }) => (atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < AT_END)}>
      ${seen.lines.map(
        (one) => html`<li key=${one.seq} class=${one.failed ? "bad" : ""}>
        <span class="muted">${one.index}</span>
        <pre>${one.failed ? one.reason : text(one)}</pre>
      </li>`,
      )}
      ${seen.interim.map(
        (one) => html`<li key=${`interim ${one.index}`} class="muted">
        <span>${one.index}</span>
        <pre><span class="badge">interim</span> ${text(one)}</pre>
      </li>`,
      )}
    </ol>`
    }
  <//>`;
}
