// Deliveries: a list by state, endpoint, resource and time, to replay or give up many of them.

import { html } from "./preact.js";
import { get, post, query, segment } from "./api.js";
import { ActionButton, useSelection } from "./ask.js";
import { counted, duration, local, number, utc } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, CopyCurl, Empty, Heading, Loaded, Pager, Table, useIsAdmin } from "./parts.js";
import { go, to } from "./router.js";

const STATES = ["due", "delivered", "dead"];
const LIMIT = 100;
const COLUMNS = [
  ["Resource"],
  ["Endpoint"],
  ["State"],
  ["Attempts", "num"],
  ["Last attempt"],
  ["Answer"],
  ["Next"],
  [html`<span class="sr">Details</span>`],
];
const MOST = 20; // pages of a thousand that are counted

export function Deliveries({ values }) {
  const { cursor = "", ...filters } = values;
  const path = "/v1/deliveries" + query({ ...filters, cursor, limit: LIMIT });
  const loaded = useLoad((signal) => get(path, signal), [path]);
  const submit = (event) => {
    event.preventDefault();
    const { state, endpoint, prefix, reason, since, until, order } = event.target.elements;
    go(["deliveries"], {
      ...filters,
      state: state.value,
      endpoint: endpoint.value,
      prefix: prefix.value,
      reason: reason.value,
      since: utc(since.value),
      until: utc(until.value),
      order: order.value,
    });
  };
  return html`<${Heading} title="Deliveries">
      <${CopyCurl} path=${path} />
      <button type="button" onClick=${loaded.refresh}>Refresh</button>
    <//>
    <form class="filters" key=${JSON.stringify(filters)} onSubmit=${submit}>
      <label>State
        <select name="state" onChange=${(event) => event.target.form.requestSubmit()}>
          <option value="">all</option>
          ${STATES.map((one) => html`<option value=${one} selected=${one === filters.state}>${one}</option>`)}
        </select>
      </label>
      <label>Endpoint <input name="endpoint" value=${filters.endpoint} spellcheck="false" autocomplete="off" /></label>
      <label>Resource id begins with <input name="prefix" value=${filters.prefix} spellcheck="false" autocomplete="off" /></label>
      <label>Answer contains <input name="reason" value=${filters.reason} spellcheck="false" autocomplete="off" /></label>
      <label>Ended since <input name="since" type="datetime-local" value=${local(filters.since)} /></label>
      <label>Ended until <input name="until" type="datetime-local" value=${local(filters.until)} /></label>
      <label>First
        <select name="order" onChange=${(event) => event.target.form.requestSubmit()}>
          <option value="">the oldest</option>
          <option value="newest" selected=${filters.order === "newest"}>the newest</option>
        </select>
      </label>
      <button type="submit">Filter</button>
      ${Object.keys(filters).length > 0 && html`<a class="button quiet" href=${to(["deliveries"])}>Clear</a>`}
    </form>
    ${["resource_id", "webhook_id"].map(
      (name) => filters[name] && html`<p class="muted">Only those of ${name.replace("_id", "")} ${filters[name]}.</p>`,
    )}
    <${Loaded} of=${loaded}>
      ${(page) => html`<${List} key=${path} ...${{ page, filters, cursor, refresh: loaded.refresh }} />`}
    <//>`;
}

function List({ page, filters, cursor, refresh }) {
  const admin = useIsAdmin();
  const chosen = useSelection(page.deliveries.map((one) => one.id));
  const next = page.next_cursor && to(["deliveries"], { ...filters, cursor: page.next_cursor });
  const pager = html`<${Pager} first=${cursor && to(["deliveries"], filters)} next=${next} />`;
  if (!page.deliveries.length) {
    return html`<${Empty} title=${next ? "None on this page" : "No delivery fits"}>
        ${next ? "The search goes on with the next page." : "A delivery is made when a resource ends, one for each endpoint that it matches."}
      <//>${pager}`;
  }
  const done = () => (chosen.clear(), refresh());
  return html`${admin && html`<${Bulk} ...${{ chosen, done, filters }} />`}
    <${Table} label="Deliveries" columns=${admin ? [[chosen.head, "box"], ...COLUMNS] : COLUMNS}>
      ${page.deliveries.map(
        (one) => html`<tr key=${one.id}>
        ${admin && html`<td class="box">${chosen.box(one.id)}</td>`}
        <th scope="row" class="id"><a href=${to(["resources", one.resource_id])}>${one.resource_id}</a></th>
        <td>${one.endpoint}</td>
        <td><${Badge} state=${one.state} /></td>
        <td class="num">${number(one.attempts)}</td>
        <td class="when"><${Ago} at=${one.attempted_at} /></td>
        <td class="text">${one.reason || "–"}</td>
        <td class="when">${one.due_in === null ? "–" : one.due_in > 0 ? `in ${duration(one.due_in)}` : "now"}</td>
        <td><a href=${to(["deliveries", one.id])}>Details<span class="sr"> of ${one.resource_id} to ${one.endpoint}</span></a></td>
      </tr>`,
      )}
    <//>${pager}`;
}

function Bulk({ chosen, done, filters }) {
  const none = chosen.ids.length === 0;
  const ended = filters.state === "dead" || filters.state === "delivered"; // only these can be replayed
  const these = counted(chosen.ids.length, "delivery", "deliveries");
  const each = (action) => chosen.ids.map((id) => ["POST", `/v1/deliveries/${segment(id)}/${action}`]);
  return html`<div class="bulk" role="group" aria-label="Actions on what is selected">
    <span aria-live="polite">${none ? "Select deliveries to act on them" : `${these} selected`}</span>
    <${ActionButton} label="Replay" disabled=${none} done=${done} requests=${each("replay")}
      question=${`Send ${these} again, with the same ids and bodies?`} />
    <${ActionButton} label="Give up" danger disabled=${none} done=${done} requests=${each("stop")}
      question=${`Give up ${these}? They are dead then, and can be replayed.`} />
    ${ended && !filters.webhook_id && html`<${ReplayAll} ...${{ filters: unordered(filters), done }} />`}
  </div>`;
}

/** *filters* without an order, which says nothing of all. */
function unordered({ order, ...filters }) {
  return filters;
}

function ReplayAll({ filters, done }) {
  const count = async () => {
    let [sum, cursor] = [0, ""];
    for (let page = 0; page < MOST && cursor !== null; page++) {
      const found = await get("/v1/deliveries" + query({ ...filters, cursor, limit: 1000 }));
      [sum, cursor] = [sum + found.deliveries.length, found.next_cursor];
    }
    return counted(sum, "delivery", "deliveries") + (cursor === null ? "" : " and more");
  };
  const run = async (onStep) => {
    let [sum, cursor] = [0, ""];
    while (cursor !== null) {
      const step = await post("/v1/deliveries/replay", { ...filters, cursor });
      sum += step.replayed;
      cursor = onStep(sum) ? step.next_cursor : null;
    }
    return { wrong: [], text: counted(sum, "delivery", "deliveries") };
  };
  return html`<span class="space" /><${ActionButton} label="Replay all that fit" ...${{ count, run, done }}
    question="Send every delivery that fits the filters again, with the same ids and bodies?" />`;
}
