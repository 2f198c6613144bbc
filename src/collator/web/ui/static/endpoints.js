// Endpoints: what is sent where, how that goes, and the switch of each.

import { html } from "./preact.js";
import { get, parseMetrics, segment, total } from "./api.js";
import { ActionButton } from "./ask.js";
import { duration, number } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, CopyCurl, Empty, Facts, Heading, Loaded, useIsAdmin } from "./parts.js";
import { to } from "./router.js";

const PATH = "/v1/endpoints?limit=1000";
const SECONDS = "collator_delivery_request_seconds";

async function load(signal) {
    const [{ endpoints }, text] = await Promise.all([get(PATH, signal), get("/metrics", signal)]);
    return { endpoints, metrics: parseMetrics(text) };
}

export function Endpoints() {
    const loaded = useLoad(load, [], 2000);
    return html`<${Heading} title="Endpoints"><${CopyCurl} path=${PATH} /><//>
    <${Loaded} of=${loaded}>
      ${({ endpoints, metrics }) =>
          endpoints.length
              ? html`<div class="grid">${endpoints.map((one) => html`<${Endpoint} key=${one.name} ...${{ one, metrics, done: loaded.refresh }} />`)}</div>`
              : html`<${Empty} title="No endpoint is configured">Nothing is sent: outputs are read by the API.<//>`}
    <//>`;
}

function Endpoint({ one, metrics, done }) {
    const labels = { endpoint: one.name };
    const delivered = total(metrics, "collator_delivery_attempts_total", { ...labels, result: "delivered" });
    const attempts = total(metrics, "collator_delivery_attempts_total", labels);
    const breaker = metrics.get("collator_endpoint_breaker")?.find((it) => it.labels.endpoint === one.name && it.value);
    const state = one.paused ? "paused" : one.why_not_sent ? "stopped" : "sending";
    const slow = quantile(metrics, labels, 0.95);
    return html`<section class="card endpoint">
    <header><h2>${one.name}</h2><${Badge} state=${state} /></header>
    ${(one.reason || one.why_not_sent) && html`<p class="why">${one.paused ? one.reason : one.why_not_sent}</p>`}
    <${Facts} rows=${[
        !one.configured && ["Configured", "no: what is due to it stays due"],
        one.paused && ["Paused", html`<${Ago} at=${one.paused_at} />`],
        breaker && ["Breaker", breaker.labels.collator_endpoint_breaker.replace("_", " ")],
        ["Attempts here", number(attempts)],
        attempts > 0 && ["Delivered", `${((100 * delivered) / attempts).toFixed(1)} %`],
        slow && ["95 % within", duration(slow)],
    ]} />
    <footer>
      <a class="button" href=${to(["deliveries"], { endpoint: one.name, state: "dead" })}>Dead<span class="sr"> deliveries of ${one.name}</span></a>
      <a class="button" href=${to(["deliveries"], { endpoint: one.name, state: "due" })}>Due<span class="sr"> deliveries of ${one.name}</span></a>
      <span class="space" />
      ${useIsAdmin() && html`<${Switch} ...${{ one, done }} />`}
    </footer>
  </section>`;
}

function Switch({ one, done }) {
    const [label, action] = one.paused ? ["Resume", "resume"] : ["Pause", "pause"];
    const question = one.paused
        ? `Send to ${one.name} again, what is due first?`
        : `Send nothing to ${one.name} until it is resumed, also after a restart? What is due stays due.`;
    const requests = [["POST", `/v1/endpoints/${segment(one.name)}/${action}`]];
    return html`<${ActionButton} ...${{ label, question, requests, done, danger: !one.paused }} />`;
}

/** The bucket within which the share *part* of requests ended, in seconds; null where there were none, or all above. */
function quantile(metrics, labels, part) {
    const buckets = (metrics.get(SECONDS + "_bucket") ?? []).filter((it) => it.labels.endpoint === labels.endpoint);
    const count = total(metrics, SECONDS + "_count", labels);
    const found = count && buckets.find((it) => it.value >= part * count);
    return found && found.labels.le !== "+Inf" ? Number(found.labels.le) : null;
}
