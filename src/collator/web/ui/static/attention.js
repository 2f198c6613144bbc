// What needs a person, out of the status: the worst first, and where to go with it.

import { html } from "./preact.js";
import { counted, number } from "./format.js";
import { Ago, Card } from "./parts.js";
import { to } from "./router.js";

export function Attention({ status }) {
  const needs = attention(status);
  return html`<${Card} title="Needs attention" note=${needs.length ? String(needs.length) : ""} wide>
    ${needs.length === 0 && html`<p class="calm"><span aria-hidden="true">✓</span> Nothing needs you.</p>`}
    <ul class="needs">
      ${needs.map(
        (one) => html`<li key=${one.key} class=${one.tone}>
          <div>
            <p class="what">${one.what}</p>
            ${one.more.map((line) => html`<p class="muted">${line}</p>`)}
          </div>
          <a class="button" href=${one.href}>${one.go}<span class="sr">: ${one.what}</span></a>
        </li>`,
      )}
    </ul>
  <//>`;
}

function attention(status) {
  const durability = [...(status.durability?.risks ?? []), ...(status.durability?.away ?? [])];
  const system = { href: to(["system"]), go: "System", tone: "warn" };
  const found = [
    ...status.attention.map(ofEndpoint),
    ...status.failing.map(ofCalls),
    ...status.workers
      .filter((one) => one.trouble)
      .map((one) => ({ ...system, key: "w" + one.name, what: `Worker ${one.name}`, more: [one.trouble] })),
    ...durability.map((one) => ({ ...system, key: "d" + one, what: "Durability", more: [one] })),
  ];
  return found.sort((a, b) => (a.tone === b.tone ? 0 : a.tone === "bad" ? -1 : 1));
}

function ofEndpoint(one) {
  const dead = one.dead > 0;
  const many = (count, more) => number(count) + (more && count ? " or more" : "");
  const words = {
    dead: `${many(one.dead, one.dead_more)} ${one.dead === 1 ? "dead delivery" : "dead deliveries"}`,
    failing: "breaker open",
    paused: "paused",
    not_configured: "not configured",
    overdue: "deliveries are overdue",
  };
  const causes = ["dead", ...one.causes.filter((cause) => cause !== "dead")].filter((it) => one.causes.includes(it));
  return {
    key: "e" + one.endpoint,
    tone: dead ? "bad" : "warn",
    what: `${one.endpoint}: ${causes.map((cause) => words[cause]).join(", ")}`,
    more: [
      one.why_not_sent,
      dead && oldest("The oldest that is dead", one.oldest_dead),
      one.due > 0 && oldest(`${many(one.due, one.due_more)} due, the oldest`, one.oldest_due),
    ].filter(Boolean),
    href: dead ? to(["deliveries"], { endpoint: one.endpoint, state: "dead" }) : to(["endpoints"]),
    go: dead ? "Look and replay" : "Endpoints",
  };
}

function oldest(what, one) {
  const link = html`<a href=${to(["deliveries", one.id])}>${one.resource_id}</a>`;
  return html`${what}: ${link}, <${Ago} at=${one.created_at} />${one.reason && `, ${one.reason}`}`;
}

function ofCalls(one) {
  const times = counted(one.times, "failed attempt");
  const line = html`${times}, the last <${Ago} at=${one.last_at} />, index ${one.index} of ${one.resource_id}`;
  const href = to(["resources", one.resource_id]);
  return { key: "f" + one.reason, tone: "bad", what: `Calls fail: ${one.reason}`, more: [line], href, go: "Resource" };
}
