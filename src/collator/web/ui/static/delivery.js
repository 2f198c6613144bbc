// One delivery: why it is where it is, and each attempt with its answer.

import { html } from "./preact.js";
import { Answer } from "./answer.js";
import { get, segment } from "./api.js";
import { ActionButton } from "./ask.js";
import { duration, number } from "./format.js";
import { useLoad } from "./live.js";
import {
  Ago,
  Badge,
  Card,
  CopyCurl,
  Empty,
  Facts,
  Heading,
  Loaded,
  Table,
  Time,
  WebhookId,
  useIsAdmin,
} from "./parts.js";
import { to } from "./router.js";

export function Delivery({ id }) {
  const path = `/v1/deliveries/${segment(id)}`;
  const loaded = useLoad((signal) => get(path, signal), [path], 2000);
  const admin = useIsAdmin();
  const state = loaded.data?.state;
  const act = (label, action, question, danger) =>
    html`<${ActionButton} ...${{ label, question, danger, done: loaded.refresh, requests: [["POST", `${path}/${action}`]] }} />`;
  return html`<${Heading} kind="Delivery" title=${loaded.data ? `${loaded.data.resource_id} → ${loaded.data.endpoint}` : id}>
      <${CopyCurl} path=${path} />
      ${admin && (state === "dead" || state === "delivered") && act("Replay", "replay", "Send it again, with the same id and body?")}
      ${admin && (state === "due" || state === "leased") && act("Give up", "stop", "Give it up? It is dead then, and can be replayed.", true)}
    <//>
    <${Loaded} of=${loaded}>${(one) => html`<${Seen} one=${one} />`}<//>`;
}

function Seen({ one }) {
  return html`${one.why_undelivered && html`<p class="why" aria-live="polite">${one.why_undelivered}</p>`}
    <${Card}>
      <${Facts} rows=${[
        ["State", html`<${Badge} state=${one.state} />`],
        ["Resource", html`<a href=${to(["resources", one.resource_id])}>${one.resource_id}</a>`],
        ["Endpoint", html`<a href=${to(["deliveries"], { endpoint: one.endpoint })}>${one.endpoint}</a>`],
        ["Attempts", number(one.attempts)],
        ["Last attempt", html`<${Ago} at=${one.attempted_at} />`],
        one.due_in !== null && ["Next attempt", one.due_in > 0 ? `in ${duration(one.due_in)}` : "now"],
        ["Webhook id", html`<${WebhookId} id=${one.webhook_id} />`],
      ]} />
    <//>
    <${Card} title="Attempts" note=${one.attempts > one.log.length ? `the last ${one.log.length}` : ""}>
      ${
        one.log.length
          ? html`<${Table} label="Attempts" columns=${[["#", "num"], ["Began"], ["Took", "num"], ["Result"], ["Answer"]]}>
            ${one.log.toReversed().map(
              (attempt) => html`<tr key=${attempt.attempt}>
              <th scope="row" class="num">${attempt.attempt}</th>
              <td class="when"><${Time} at=${attempt.at} /></td>
              <td class="num">${duration(attempt.seconds)}</td>
              <td><${Badge} state=${attempt.result} /></td>
              <td class="text">${attempt.reason || "–"}</td>
            </tr>`,
            )}
          <//>`
          : html`<${Empty} title="No attempt yet">It is sent as soon as its endpoint has capacity.<//>`
      }
    <//>
    ${
      one.answer &&
      html`<${Card} title="What the receiver answered" note=${`HTTP ${one.answer.status}`}>
      <${Answer} of=${one.answer} />
    <//>`
    }`;
}
