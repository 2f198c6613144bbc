// One resource: why it is not delivered, where its packets are, and all that can be done to it.

import { html, useState } from "./preact.js";
import { AnswerTo } from "./answer.js";
import { get, segment } from "./api.js";
import { ActionButton } from "./ask.js";
import { IndexMap } from "./charts.js";
import { counted, duration, number } from "./format.js";
import { useLoad } from "./live.js";
import { Outputs } from "./outputs.js";
import { Packet } from "./packet.js";
import {
  Ago,
  Badge,
  Card,
  CopyButton,
  CopyCurl,
  Facts,
  Heading,
  Loaded,
  Table,
  Time,
  WebhookId,
  useIsAdmin,
} from "./parts.js";
import { to } from "./router.js";

const CLOSE = "Close it as it is? What is missing stays missing, and its webhook says so.";
const DELETE = "Delete it with its packets, outputs and deliveries? This cannot be undone.";
const ANSWERS = 3; // that are asked for; each delivery shows its own

export function Resource({ id }) {
  const path = `/v1/resources/${segment(id)}`;
  const loaded = useLoad((signal) => get(path, signal), [path], 2000);
  return html`<${Heading} kind="Resource" title=${id}>
      <${CopyButton} text=${id} label="Copy the id">Copy id<//>
      <${CopyCurl} path=${path} />
      ${useIsAdmin() && loaded.data && html`<${Actions} ...${{ path, one: loaded.data, done: loaded.refresh }} />`}
    <//>
    <${Loaded} of=${loaded}>${(one) => html`<${Seen} ...${{ path, one }} />`}<//>`;
}

function Actions({ path, one, done }) {
  const [total, setTotal] = useState(String(one.received));
  const act = (label, question, request, more) =>
    html`<${ActionButton} ...${{ label, question, done, requests: [request], ...more }} />`;
  const open = one.state === "open";
  const wanting = one.failed > 0 || one.unfinished.length > 0;
  return html`${
    (open ? one.failed > 0 : one.state === "incomplete" && wanting) &&
    act("Retry", "Give its packets without an output a new set of attempts?", ["POST", `${path}/retry`])
  }
    ${
      open &&
      one.total === null &&
      act(
        "Set total",
        "How many packets does it have? It ends once all of them have an outcome.",
        ["POST", `${path}/complete`, { total: Number(total) }],
        {
          children: html`<label>
            Packets
            <input type="number" min="0" step="1" value=${total} onInput=${(event) => setTotal(event.target.value)} />
          </label>`,
        },
      )
    }
    ${open && act("Complete now", CLOSE, ["POST", `${path}/complete`, { force: true }])}
    ${open && act("Cancel", "End it without a webhook?", ["POST", `${path}/cancel`], { danger: true })}
    ${!open && act("Delete", DELETE, ["DELETE", path], { danger: true })}`;
}

function Seen({ path, one }) {
  const [index, setIndex] = useState(null);
  const look = (at) =>
    html`<button type="button" class="link" onClick=${() => setIndex(at)} aria-label=${`Look at packet ${at}`}>${at}</button>`;
  const took = one.closed_at && (Date.parse(one.closed_at) - Date.parse(one.opened_at)) / 1000;
  const metadata = Object.entries(one.metadata ?? {});
  return html`<p class=${"why" + (one.why_undelivered ? "" : " good")} aria-live="polite">${one.why_undelivered ?? "Delivered."}</p>
    <${Card} title="Packets">
      <${IndexMap} resource=${one} />
      <${Facts} rows=${[
        ["State", html`<${Badge} state=${one.state} />${one.completed_by ? ` by ${one.completed_by}` : ""}`],
        ["Total", number(one.total)],
        ["Opened", html`<${Time} at=${one.opened_at} />, <${Ago} at=${one.opened_at} />`],
        ["Ended", one.closed_at ? html`<${Time} at=${one.closed_at} />, after ${duration(took)}` : "–"],
        ["Webhook id", html`<${WebhookId} id=${one.webhook_id} />`],
        one.supersedes && ["Supersedes", html`<code>${one.supersedes}</code>`],
        ...metadata.map(([name, value]) => [
          `metadata: ${name}`,
          typeof value === "string" ? value : JSON.stringify(value),
        ]),
      ]} />
    <//>
    ${
      one.failures.length > 0 &&
      html`<${Card} title="Failed packets" note=${one.failures_more ? `the first ${one.failures.length} of ${number(one.failed)}` : number(one.failed)}>
      <${Table} label="Failed packets" columns=${[["Index", "num"], ["Attempts", "num"], ["Reason"]]}>
        ${one.failures.map(
          (it) => html`<tr key=${it.index}><th scope="row" class="num">${look(it.index)}</th>
          <td class="num">${it.attempts}</td><td class="text">${it.reason}</td></tr>`,
        )}
      <//>
    <//>`
    }
    ${
      one.retrying.length > 0 &&
      html`<${Card} title="Being tried again" note=${one.retrying_more ? `the first ${one.retrying.length}` : ""}>
      <${Table} label="Packets that are tried again" columns=${[["Index", "num"], ["Attempts", "num"], ["Next"], ["Reason"]]}>
        ${one.retrying.map(
          (
            it,
          ) => html`<tr key=${it.index}><th scope="row" class="num">${look(it.index)}</th><td class="num">${it.attempts}</td>
          <td class="when">${it.due_in ? `in ${duration(it.due_in)}` : "now"}</td><td class="text">${it.reason}</td></tr>`,
        )}
      <//>
    <//>`
    }
    <${Packet} ...${{ path, index, setIndex }} />
    <${Deliveries} one=${one} />
    <${Outputs} key=${one.webhook_id} path=${path} />`;
}

function Deliveries({ one }) {
  const all = html`<a class="button" href=${to(["deliveries"], { resource_id: one.resource_id })}>All</a>`;
  if (!one.deliveries.length) return null;
  const failing = one.deliveries.filter((it) => it.attempted_at && it.state !== "delivered");
  return html`<${Card} title="Deliveries" note=${one.deliveries_more ? `${counted(one.deliveries_more, "other")}` : ""} actions=${all}>
    <${Table} label="Deliveries" columns=${[["Endpoint"], ["State"], ["Attempts", "num"], ["Last attempt"], ["Answer"], [html`<span class="sr">Attempts</span>`]]}>
      ${one.deliveries.map(
        (it) => html`<tr key=${it.id}>
        <th scope="row">${it.endpoint}</th><td><${Badge} state=${it.state} /></td><td class="num">${it.attempts}</td>
        <td class="when"><${Ago} at=${it.attempted_at} /></td><td class="text">${it.reason || "–"}</td>
        <td><a href=${to(["deliveries", it.id])} >Attempts<span class="sr"> to ${it.endpoint}</span></a></td>
      </tr>`,
      )}
    <//>
    ${failing.slice(0, ANSWERS).map((it) => html`<${AnswerTo} key=${it.id} delivery=${it} />`)}
  <//>`;
}
