// Two small pictures: a rate over the last minutes, and which packets of a resource are where.

import { html } from "./preact.js";
import { number } from "./format.js";

const CELLS = 240;
const RANK = ["done", "running", "failed", "missing"]; // of what shares a cell, the last is shown

export function Sparkline({ values, label }) {
  const most = Math.max(1e-9, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, place) => `${(place * step).toFixed(2)},${(27 - (24 * value) / most).toFixed(2)}`);
  return html`<svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${
      values.length > 1 &&
      html`<polygon points=${["0,30", ...points, "100,30"].join(" ")} /><polyline points=${points.join(" ")} />`
    }
  </svg>`;
}

/**
 * The packets of *resource* in few cells: `{states, size, missing}`. Only what is listed can be told apart. As long as
 * its total is unknown, it is missing what is missing below the highest index.
 */
export function mapOf(resource) {
  const missing = resource.missing.reduce((sum, [first, last]) => sum + last - first + 1, resource.missing_more);
  const size = resource.total ?? resource.received + missing;
  const cells = Math.min(CELLS, size);
  const states = Array(cells).fill("done");
  const mark = (state) => (range) => {
    const [first, last] = Array.isArray(range) ? range : [range.index, range.index];
    for (let at = Math.floor((first * cells) / size); at <= Math.floor((last * cells) / size) && at < cells; at++) {
      if (RANK.indexOf(state) > RANK.indexOf(states[at])) states[at] = state;
    }
  };
  resource.unfinished.forEach(mark("running"));
  resource.failures.forEach(mark("failed"));
  resource.missing.forEach(mark("missing"));
  return { states, size, missing };
}

export function IndexMap({ resource }) {
  const { states, size, missing } = mapOf(resource);
  if (!size) return html`<p class="muted">No packet has come yet.</p>`;
  const runs = states.reduce((found, state, at) => {
    const last = found.at(-1);
    if (last?.state === state) last.width++;
    else found.push({ state, at, width: 1 });
    return found;
  }, []);
  const unfinished = resource.received - resource.done - resource.failed;
  const counts = { done: resource.done, running: unfinished, failed: resource.failed, missing };
  const key = ([state, count]) =>
    html`<span class=${"key " + state + (count ? "" : " none")}>${number(count)} ${names[state]}</span>`;
  const names = { done: "done", running: "waiting or running", failed: "failed", missing: "missing" };
  return html`<figure class="map">
    <svg viewBox=${`0 0 ${states.length} 10`} preserveAspectRatio="none" aria-hidden="true">
      ${runs.map((run) => html`<rect class=${run.state} x=${run.at} width=${run.width} height="10" />`)}
    </svg>
    <figcaption>
      ${Object.entries(counts).map(key)}
      <span class="muted">index 0 to ${number(size - 1)}${resource.total === null ? ", total unknown" : ""}</span>
    </figcaption>
  </figure>`;
}
