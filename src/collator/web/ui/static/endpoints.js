// Endpoints: what is sent where, how that goes, and the switch of each.

import { html } from "./preact.js";
import { get, parseMetrics, post, segment, total } from "./api.js";
import { ActionButton } from "./ask.js";
import { duration, number } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, CopyCurl, Empty, Facts, Heading, Loaded, useIsAdmin } from "./parts.js";
import { to } from "./router.js";

const PATH = "/v1/endpoints?limit=1000";
const SECONDS = "collator_delivery_request_seconds";

async function load(signal) {
  const [{ endpoints }, text, status] = await Promise.all(
    [PATH, "/metrics", "/v1/status"].map((path) => get(path, signal)),
  );
  const attention = new Map(status.attention.map((one) => [one.endpoint, one]));
  return { endpoints, metrics: parseMetrics(text), attention };
}

export function Endpoints() {
  const loaded = useLoad(load, [], 5000);
  const each = ({ endpoints, metrics, attention }) =>
    endpoints.map((one) => {
      const given = { one, metrics, needs: attention.get(one.name), done: loaded.refresh };
      return html`<${Endpoint} key=${one.name} ...${given} />`;
    });
  return html`<${Heading} title="Endpoints"><${CopyCurl} path=${PATH} /><//>
    <${Loaded} of=${loaded}>
      ${(data) =>
        data.endpoints.length
          ? html`<div class="grid">${each(data)}</div>`
          : html`<${Empty} title="No endpoint is configured">Nothing is sent: outputs are read by the API.<//>`}
    <//>`;
}

function Endpoint({ one, metrics, needs, done }) {
  const labels = { endpoint: one.name };
  const delivered = total(metrics, "collator_delivery_attempts_total", { ...labels, result: "delivered" });
  const attempts = total(metrics, "collator_delivery_attempts_total", labels);
  const breaker = metrics.get("collator_endpoint_breaker")?.find((it) => it.labels.endpoint === one.name && it.value);
  const state = one.paused ? "paused" : one.next_try_in !== null ? "breaker open" : one.why_not_sent ? "stopped" : "sending";
  const slow = quantile(metrics, labels, 0.95);
  const why = one.paused ? one.reason : one.why_not_sent;
  const waiting = (state, count, more) => html`<a href=${to(["deliveries"], { endpoint: one.name, state })}>
    ${number(count) + (more && count ? " or more" : "")}<span class="sr"> ${state}, ${one.name}</span>
  </a>`;
  return html`<section class="card endpoint">
    <header><h2>${one.name}</h2><${Badge} state=${state} /></header>
    ${why && html`<p class="why">${why}</p>`}
    <${Facts} rows=${[
      ["Due", waiting("due", needs?.due ?? total(metrics, "collator_endpoint_due", labels), needs?.due_more)],
      ["Dead", waiting("dead", needs?.dead ?? 0, needs?.dead_more)],
      needs?.oldest_due && ["Oldest due", html`<${Ago} at=${needs.oldest_due.created_at} />`],
      !one.configured && ["Configured", "no: what is due to it stays due"],
      one.paused && ["Paused", html`<${Ago} at=${one.paused_at} />`],
      breaker && ["Breaker", breaker.labels.collator_endpoint_breaker.replace("_", " ")],
      ["Attempts here", number(attempts)],
      attempts > 0 && ["Delivered", `${((100 * delivered) / attempts).toFixed(1)} %`],
      slow && ["95 % within", duration(slow)],
    ]} />
    ${needs?.oldest_due?.reason && html`<h3>Last answer for the oldest that is due</h3><pre>${needs.oldest_due.reason}</pre>`}
    ${useIsAdmin() && html`<footer><${Actions} ...${{ one, done }} /></footer>`}
  </section>`;
}

function Actions({ one, done }) {
  const path = `/v1/endpoints/${segment(one.name)}`;
  const act = (label, action, question, danger) =>
    html`<${ActionButton} ...${{ label, question, danger, done, requests: [["POST", `${path}/${action}`]] }} />`;
  const test = async () => {
    const answer = await post(`${path}/test`);
    const said = `${answer.reason || `HTTP ${answer.status}`}, in ${duration(answer.seconds)}`;
    return { wrong: answer.accepted ? [] : [said, answer.text].filter(Boolean), text: said };
  };
  return html`${one.configured && !one.paused && act("Try now", "try", "Attempt the next delivery at once, whatever it waits for?")}
    ${
      one.configured &&
      html`<${ActionButton} label="Send a test" run=${test} done=${done}
      question=${`Send ${one.name} a webhook of the type “test”, signed as all others? It tells of no resource.`} />`
    }
    <span class="space" />
    ${
      one.paused
        ? act("Resume", "resume", `Send to ${one.name} again, what is due first?`)
        : act(
            "Pause",
            "pause",
            `Send nothing to ${one.name} until it is resumed, also after a restart? What is due stays due.`,
            true,
          )
    }`;
}

/** The bucket within which the share *part* of requests ended, in seconds; null where there were none, or all above. */
function quantile(metrics, labels, part) {
  const buckets = (metrics.get(SECONDS + "_bucket") ?? []).filter((it) => it.labels.endpoint === labels.endpoint);
  const count = total(metrics, SECONDS + "_count", labels);
  const found = count && buckets.find((it) => it.value >= part * count);
  return found && found.labels.le !== "+Inf" ? Number(found.labels.le) : null;
}
