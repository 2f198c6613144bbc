// The outputs of a resource as they come, by its stream of events.

import { html, useEffect, useRef, useState } from "./preact.js";
import { number, shown } from "./format.js";
import { useLiveState } from "./live.js";
import { Card, useSession } from "./parts.js";

const KEPT = 300; // lines, so that a page that is open for days stays small

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
  const [seen, setSeen] = useState({ lines: [], count: 0, ended: "" });
  const last = useRef(0);
  useEffect(() => {
    if (!begun || paused || seen.ended) return;
    let lines = [];
    let count = 0;
    let timer = 0;
    const flush = () => {
      const came = { lines, count };
      [lines, count, timer] = [[], 0, 0];
      setSeen((now) => ({
        ...now,
        lines: [...now.lines, ...came.lines].slice(-KEPT),
        count: now.count + came.count,
      }));
    };
    const add = (failed) => (event) => {
      const data = JSON.parse(event.data);
      last.current = data.seq;
      lines.push({ ...data, failed });
      count++;
      if (lines.length > KEPT) lines.shift();
      timer ||= setTimeout(flush, 100); // ten times a second at most, however fast they come
    };
    const source = new EventSource(`${path}/events?after_seq=${last.current}`);
    source.addEventListener("output", add(false));
    source.addEventListener("failed", add(true));
    source.addEventListener("reset", () => {
      last.current = 0;
      [lines, count] = [[], 0];
      setSeen({ lines: [], count: 0, ended: "" });
    });
    source.addEventListener("end", (event) => {
      source.close();
      flush();
      setSeen((before) => ({ ...before, ended: JSON.parse(event.data).state }));
    });
    return () => {
      source.close();
      clearTimeout(timer);
    };
  }, [path, begun, paused, seen.ended]);
  const actions = html`<div class="inline">
    ${
      begun
        ? html`<label><input type="checkbox" checked=${asText} onChange=${() => setAsText(!asText)} /> as text</label>`
        : html`<button type="button" onClick=${() => setBegun(true)}>Follow</button>`
    }
  </div>`;
  const state = !begun
    ? "in the order in which they were recorded"
    : seen.ended
      ? `ended: ${seen.ended}`
      : paused
        ? "paused"
        : "live";
  return html`<${Card} title="Outputs" note=${state} actions=${actions}>
    ${seen.count > seen.lines.length && html`<p class="muted">The last ${number(KEPT)}.</p>`}
    ${begun && !seen.lines.length && html`<p class="muted">${seen.ended ? "There are none." : "None yet."}</p>`}
    <ol class="outputs" tabindex="0" aria-label="Outputs">
      ${seen.lines.map(
        (one) => html`<li key=${one.seq} class=${one.failed ? "bad" : ""}>
        <span class="muted">${one.index}</span>
        <pre>${one.failed ? one.reason : asText ? shown(one.output) : JSON.stringify(one.output)}</pre>
      </li>`,
      )}
    </ol>
  <//>`;
}
