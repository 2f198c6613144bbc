// Overview: is it ready, what needs somebody, and how fast things go.

import { html, useRef } from "./preact.js";
import { get, parseMetrics, total } from "./api.js";
import { Sparkline } from "./charts.js";
import { bytes, counted, duration, number, rate } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, Card, Heading, Loaded } from "./parts.js";
import { to } from "./router.js";

const EVERY = 2000;
const KEPT = 90; // samples of a rate: three minutes
const RATES = [
    ["In", "packets", (m) => total(m, "collator_packets_total", { status: "accepted" })],
    ["Processed", "outputs", (m) => total(m, "collator_processor_attempts_total", { result: "output" })],
    ["Finished", "resources", (m) => total(m, "collator_resources_closed_total")],
    ["Delivered", "webhooks", (m) => total(m, "collator_delivery_attempts_total", { result: "delivered" })],
];

async function load(signal) {
    const asked = ["/v1/status", "/metrics", "/v1/endpoints?limit=1000"];
    const [status, text, { endpoints }] = await Promise.all(asked.map((path) => get(path, signal)));
    const state = async (name, many) =>
        status.stored?.[name] ? (await get(`/v1/deliveries?state=${name}&limit=${many}`, signal)).deliveries : [];
    const [dead, due] = await Promise.all([state("dead", 100), state("due", 1)]);
    return { status, metrics: parseMetrics(text), endpoints, dead, due, at: performance.now() };
}

export function Overview() {
    const loaded = useLoad(load, [], EVERY);
    return html`<${Heading} title="Overview" />
    <${Loaded} of=${loaded}>${(data) => html`<${Seen} ...${data} />`}<//>`;
}

function Seen({ status, metrics, endpoints, dead, due, at }) {
    const needs = attention(status, endpoints, dead, due);
    return html`<section class=${"ready " + (status.ready ? "good" : "bad")} aria-live="polite">
      <strong>${status.ready ? "Ready" : "Not ready"}</strong>
      <span>${status.ready ? "Packets are accepted." : status.reasons.join("; ")}</span>
    </section>
    <${Rates} metrics=${metrics} at=${at} />
    <div class="grid">
      <${Card} title="Needs attention" note=${needs.length ? String(needs.length) : ""} wide>
        ${
            needs.length
                ? html`<ul class="needs">${needs.map(
                      (one) => html`<li key=${one.key} class=${one.tone}>
              <div><p class="what">${one.what}</p>${one.more && html`<p class="muted">${one.more}</p>`}</div>
              ${one.href && html`<a class="button" href=${one.href}>${one.go}<span class="sr">: ${one.what}</span></a>`}
            </li>`,
                  )}</ul>`
                : html`<p class="calm"><span aria-hidden="true">✓</span> Nothing needs you.</p>`
        }
      <//>
      <${Stored} stored=${status.stored} />
    </div>`;
}

function attention(status, endpoints, dead, due) {
    const found = [];
    const add = (tone, key, what, more, href, go) => found.push({ tone, key, what, more, href, go });
    if (status.stored?.dead) {
        const more = grouped(dead).map(([name, count, reason]) => `${name}: ${count}${reason ? ` (${reason})` : ""}`);
        const first = status.stored.dead > dead.length ? `Of the first ${dead.length}: ` : "";
        add("bad", "dead", `${counted(status.stored.dead, "dead delivery", "dead deliveries")}`, first + more.join("; "),
      to(["deliveries"], { state: "dead" }), "Look and replay"); // prettier-ignore
    }
    for (const one of endpoints) {
        const why = one.paused ? `paused: ${one.reason}` : one.why_not_sent;
        if (why) add("warn", "e" + one.name, `Nothing is sent to ${one.name}`, why, to(["endpoints"]), "Endpoints");
        else if (!one.configured)
            add("warn", "e" + one.name, `Endpoint ${one.name} is not configured`, "", to(["endpoints"]), "Endpoints");
    }
    for (const one of status.failing) {
        const more = html`${counted(one.times, "failed attempt")}, the last <${Ago} at=${one.last_at} />, index ${one.index} of ${one.resource_id}`;
        add("bad", "f" + one.reason, `Calls fail: ${one.reason}`, more, to(["resources", one.resource_id]), "Resource");
    }
    for (const one of due.filter((delivery) => delivery.attempts > 0)) {
        const next = one.due_in ? `, next in ${duration(one.due_in)}` : "";
        add("warn", "due", `The oldest due delivery waits after ${counted(one.attempts, "attempt")}`,
      `${one.resource_id} to ${one.endpoint}: ${one.reason}${next}`, to(["deliveries", one.id]), "Delivery"); // prettier-ignore
    }
    for (const one of status.workers.filter((worker) => worker.trouble)) {
        add("warn", "w" + one.name, `Worker ${one.name} is in trouble`, one.trouble, to(["system"]), "System");
    }
    for (const one of [...(status.durability?.risks ?? []), ...(status.durability?.away ?? [])]) {
        add("warn", "r" + one, "Durability", one, to(["system"]), "System");
    }
    return found.sort((a, b) => (a.tone === b.tone ? 0 : a.tone === "bad" ? -1 : 1));
}

/** Dead deliveries by endpoint, the most first, with the reason that is most frequent there. */
function grouped(dead) {
    return most(dead, (one) => one.endpoint)
        .slice(0, 4)
        .map(([name, those]) => [name, those.length, most(those, (one) => one.reason)[0][0]]);
}

/** *values* by what *key* says of them, the largest group first. */
function most(values, key) {
    const groups = new Map();
    for (const value of values) groups.set(key(value), [...(groups.get(key(value)) ?? []), value]);
    return [...groups].sort((a, b) => b[1].length - a[1].length);
}

function Rates({ metrics, at }) {
    const past = useRef({ at: 0, counts: [], rates: RATES.map(() => []) });
    if (past.current.at !== at) past.current = measured(past.current, metrics, at);
    return html`<div class="rates">
    ${RATES.map(([title, unit], place) => {
        const values = past.current.rates[place];
        const now = values.length ? rate(values.at(-1)) : "–";
        return html`<section class="card rate">
        <h2>${title}</h2>
        <p><strong>${now}</strong> <span class="muted">${unit}/s</span></p>
        <${Sparkline} values=${values} label=${`${title} over the last minutes; now ${now} ${unit} a second`} />
      </section>`;
    })}
  </div>`;
}

function measured(past, metrics, at) {
    const counts = RATES.map(([, , count]) => count(metrics));
    const seconds = (at - past.at) / 1000;
    const rates = past.rates.map((values, place) =>
        past.at ? [...values, Math.max(0, counts[place] - past.counts[place]) / seconds].slice(-KEPT) : values,
    );
    return { at, counts, rates };
}

function Stored({ stored }) {
    if (!stored) return html`<${Card} title="Stored"><p class="muted">The store cannot be read at the moment.</p><//>`;
    const states = ["open", "collated", "incomplete", "cancelled"];
    return html`<${Card} title="Stored">
    <ul class="stored">
      ${states.map((state) => html`<li><a href=${to(["resources"], { state })}><${Badge} state=${state} /> <b>${number(stored[state])}</b></a></li>`)}
      <li><a href=${to(["deliveries"], { state: "due" })}><${Badge} state="due">deliveries due<//> <b>${number(stored.due)}</b></a></li>
      <li><a href=${to(["deliveries"], { state: "dead" })}><${Badge} state="dead">deliveries dead<//> <b>${number(stored.dead)}</b></a></li>
      <li><span><${Badge} state="waiting">packets waiting<//> <b>${number(stored.waiting)}</b></span></li>
      <li><span><${Badge}>backlog<//> <b>${bytes(stored.backlog)}</b></span></li>
    </ul>
  <//>`;
}
