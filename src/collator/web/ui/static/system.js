// System: nodes, workers, the store, connections, and who did what.

import { html } from "./preact.js";
import { get, parseMetrics, query, total } from "./api.js";
import { duration, number } from "./format.js";
import { useLoad } from "./live.js";
import { Badge, Card, CopyCurl, Empty, Facts, Heading, Loaded, Pager, Table, Time, useIsAdmin } from "./parts.js";
import { to } from "./router.js";

async function load(signal) {
  const [status, text] = await Promise.all([get("/v1/status", signal), get("/metrics", signal)]);
  return { status, metrics: parseMetrics(text) };
}

export function System({ values }) {
  const loaded = useLoad(load, [], 2000);
  return html`<${Heading} title="System"><${CopyCurl} path="/v1/status" /><//>
    <${Loaded} of=${loaded}>${(data) => html`<${Seen} ...${data} />`}<//>
    ${
      useIsAdmin()
        ? html`<${Audit} cursor=${values.cursor ?? ""} />`
        : html`<p class="muted">The audit log is shown to tokens with the role admin.</p>`
    }`;
}

function Seen({ status, metrics }) {
  const { durability } = status;
  const commits = total(metrics, "collator_commit_seconds_count");
  return html`<div class="grid">
      <${Card} title="Service">
        <${Facts} rows=${[
          ["Version", status.version],
          ["Ready", status.ready ? "yes" : status.reasons.join("; ")],
          ["Connections", number(total(metrics, "collator_connections"))],
          ["Requests", number(total(metrics, "collator_requests_in_flight"))],
          ["Streams", number(total(metrics, "collator_streams"))],
          ["Refused since the start", number(total(metrics, "collator_requests_refused_total"))],
          ["Packets being processed", number(status.under_way.packets)],
          ["Webhooks being sent", number(status.under_way.deliveries)],
          ["Packets leased", number(total(metrics, "collator_packets_leased"))],
        ]} />
      <//>
      <${Card} title="Store">
        ${
          durability
            ? html`<${Facts} rows=${[
                ["Store", durability.store],
                ["Replication", durability.replication],
                ...durability.standbys.map((one) => [
                  one.name,
                  `${one.sync}, ${duration(one.lag_seconds ?? 0)} behind`,
                ]),
                ["Commits since the start", number(commits)],
                commits > 0 && ["Mean commit", duration(total(metrics, "collator_commit_seconds_sum") / commits)],
                durability.risks.length > 0 && ["Risks", durability.risks.join("; ")],
                durability.away.length > 0 && ["Away", durability.away.join("; ")],
              ]} />`
            : html`<p class="muted">The store cannot be read at the moment.</p>`
        }
      <//>
    </div>
    <${Card} title="Nodes" note="processes that have the ledger open">
      <${Table} label="Nodes" columns=${[["Node"], ["Version"], ["Since"], ["Last sign", "num"], ["Packets leased", "num"]]}>
        ${status.nodes.map(
          (one) => html`<tr key=${one.id}>
          <th scope="row">${one.name} ${one.here && html`<${Badge}>answers here<//>`}</th>
          <td>${one.version}</td><td class="when"><${Time} at=${one.since} /></td>
          <td class="num">${duration(one.beat)} ago</td><td class="num">${number(one.leased)}</td>
        </tr>`,
        )}
      <//>
    <//>
    ${
      status.workers.length > 0 &&
      html`<${Card} title="Celery workers" note="that this node hears of">
      <${Table} label="Celery workers" columns=${[["Worker"], ["Pool"], ["Processor"], ["Calls", "num"], ["Packets", "num"], ["Trouble"]]}>
        ${status.workers.map(
          (one) => html`<tr key=${one.name}>
          <th scope="row">${one.name}</th><td>${one.pool}</td><td>${one.processor}</td>
          <td class="num">${number(one.calls)}</td><td class="num">${number(one.packets)}</td><td class="text">${one.trouble ?? "–"}</td>
        </tr>`,
        )}
      <//>
    <//>`
    }`;
}

function Audit({ cursor }) {
  const path = "/v1/audit" + query({ cursor, limit: 50 });
  const loaded = useLoad((signal) => get(path, signal), [path]);
  const refresh = html`<button type="button" onClick=${loaded.refresh}>Refresh</button>`;
  return html`<${Card} title="Audit log" note="who did what, the latest first" actions=${refresh}>
    <${Loaded} of=${loaded}>
      ${({ records, next_cursor: next }) =>
        records.length
          ? html`<${Table} label="Audit log" columns=${[["When"], ["Who"], ["From"], ["Did"], ["What"], ["Changed", "num"]]}>
                ${records.map(
                  (one) => html`<tr key=${one.id}>
                  <td class="when"><${Time} at=${one.at} /></td><th scope="row">${one.who}</th><td>${one.peer || "–"}</td>
                  <td><${Badge} state=${one.verb === "refused" ? "failed" : "open"}>${one.verb}<//></td>
                  <td class="text">${one.target}</td><td class="num">${number(one.changed)}</td>
                </tr>`,
                )}
              <//>
              <${Pager} first=${cursor && to(["system"])} next=${next && to(["system"], { cursor: next })} />`
          : html`<${Empty} title="Nothing was done yet">Actions of people are recorded here, and tokens that were refused.<//>`}
    <//>
  <//>`;
}
