// Overview: is it ready, what needs somebody, how fast things go, and what just happened.

import { html, useRef } from "./preact.js";
import { get } from "./api.js";
import { Attention } from "./attention.js";
import { Sparkline } from "./charts.js";
import { useFeed } from "./feed.js";
import { bytes, clock, number, rate } from "./format.js";
import { useLoad } from "./live.js";
import { Badge, Card, Heading, Loaded } from "./parts.js";
import { to } from "./router.js";

const EVERY = 5000; // and at once where something happens that may change it
const SOON = 1000;
const CALM = 5; // ticks of which the number shown is the mean
const RATES = [
  ["In", "packets", "accepted"],
  ["Processed", "outputs", "processed"],
  ["Finished", "resources", "ended"],
  ["Delivered", "webhooks", "delivered"],
];

export function Overview() {
  const loaded = useLoad((signal) => get("/v1/status", signal), [], EVERY);
  const timer = useRef(0);
  const feed = useFeed(({ kind }) => {
    if (kind !== "refused") timer.current ||= setTimeout(() => ((timer.current = 0), loaded.refresh()), SOON);
  });
  return html`<${Heading} title="Overview" />
    <${Loaded} of=${loaded}>${(status) => html`<${Readiness} status=${status} />`}<//>
    <${Rates} ticks=${feed.ticks} />
    ${
      loaded.data &&
      html`<div class="grid">
      <${Attention} status=${loaded.data} />
      <${Stored} stored=${loaded.data.stored} />
    </div>`
    }
    <${Notices} notices=${feed.notices} />`;
}

const Readiness = ({ status }) => html`<section class=${"ready " + (status.ready ? "good" : "bad")} aria-live="polite">
  <strong>${status.ready ? "Ready" : "Not ready"}</strong>
  <span>${status.ready ? "Packets are accepted." : status.reasons.join("; ")}</span>
</section>`;

function Rates({ ticks }) {
  return html`<div class="rates">
    ${RATES.map(([title, unit, name]) => {
      const calm = ticks.slice(-CALM);
      const seconds = calm.reduce((sum, tick) => sum + tick.seconds, 0);
      const now = seconds ? rate(calm.reduce((sum, tick) => sum + tick[name], 0) / seconds) : "–";
      return html`<section class="card rate">
        <h2>${title}</h2>
        <p><strong>${now}</strong> <span class="muted">${unit}/s</span></p>
        <${Sparkline} values=${ticks.map((tick) => tick[name] / tick.seconds)} label=${`${title}: ${now} ${unit} a second now`} />
      </section>`;
    })}
  </div>`;
}

function Stored({ stored }) {
  if (!stored) return html`<${Card} title="Stored"><p class="muted">The store cannot be read at the moment.</p><//>`;
  const states = ["open", "collated", "incomplete", "cancelled"];
  const link = (view, state, label) => html`<li>
    <a href=${to([view], { state })}><${Badge} state=${state}>${label}<//> <b>${number(stored[state])}</b></a>
  </li>`;
  return html`<${Card} title="Stored">
    <ul class="stored">
      ${states.map((state) => link("resources", state, state))} ${link("deliveries", "due", "deliveries due")}
      ${link("deliveries", "dead", "deliveries dead")}
      <li><span><${Badge} state="waiting">packets waiting<//> <b>${number(stored.waiting)}</b></span></li>
      <li><span><${Badge}>backlog<//> <b>${bytes(stored.backlog)}</b></span></li>
    </ul>
  <//>`;
}

const SAID = {
  failed: (one) => ["failed", `Packets failed: ${one.reason}`, `index ${one.index} of ${one.resource_id}`],
  dead: (one) => ["dead", `Deliveries to ${one.endpoint} are dead`, `${one.resource_id}: ${one.reason}`],
  paused: (one) => ["paused", `${one.endpoint} is paused`, one.reason],
  resumed: (one) => ["sending", `${one.endpoint} is sent to again`, ""],
  breaker_opened: (one) => [
    "breaker open",
    `The receiver of ${one.endpoint} fails, and is left alone for a while`,
    one.reason,
  ],
  breaker_closed: (one) => ["sending", `The receiver of ${one.endpoint} is back`, ""],
  refused: (one) => ["incomplete", `Requests were refused: ${one.code}`, ""],
  action: (one) => ["open", `${one.who}: ${one.verb} ${one.target}`, `${number(one.changed)} changed`],
  missed: () => ["cancelled", "Events that came too fast for this page", ""],
};

function Notices({ notices }) {
  if (!notices.length) return null;
  return html`<${Card} title="Since this page is open" note="the latest first">
    <ul class="notices">
      ${notices.toReversed().map((one) => {
        const [state, what, more] = SAID[one.kind](one);
        return html`<li key=${one.key}>
          <time datetime=${one.at}>${one.at ? clock(one.at) : ""}</time>
          <${Badge} state=${state}>${one.kind.replace("_", " ")}${one.count > 1 ? ` × ${number(one.count)}` : ""}<//>
          <span>${what}${more && html` <span class="muted">${more}</span>`}</span>
        </li>`;
      })}
    </ul>
  <//>`;
}
