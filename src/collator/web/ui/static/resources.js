// Resources: a list by state, prefix, time and what is wrong, with what can be done to many of them.

import { html } from "./preact.js";
import { get, post, query, segment } from "./api.js";
import { ActionButton, useSelection } from "./ask.js";
import { counted, local, number, utc } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, CopyCurl, Empty, Heading, Loaded, Pager, Table, useIsAdmin } from "./parts.js";
import { go, to } from "./router.js";

const STATES = ["open", "collated", "incomplete", "cancelled"];
const COLUMNS = [["Id"], ["State"], ["Progress"], ["Failed", "num"], ["Opened"]];
const ORDERS = [
  ["", "usual"],
  ["newest", "newest first"],
  ["oldest", "oldest first"],
];
const LIMIT = 100;

export function Resources({ values }) {
  const { cursor = "", ...filters } = values;
  const usual = filters.state || filters.prefix ? "" : "newest"; // of few among many, in the order that finds them at once
  const path = "/v1/resources" + query({ ...filters, order: filters.order || usual, cursor, limit: LIMIT });
  const loaded = useLoad((signal) => get(path, signal), [path]);
  const submit = (event) => {
    event.preventDefault();
    const { state, prefix, order, since, until, failed, undelivered } = event.target.elements;
    go(["resources"], {
      state: state.value,
      prefix: prefix.value,
      order: order.value,
      opened_since: utc(since.value),
      opened_until: utc(until.value),
      failed: failed.checked ? "true" : "",
      undelivered: undelivered.checked ? "true" : "",
    });
  };
  const now = (event) => event.target.form.requestSubmit();
  return html`<${Heading} title="Resources">
      <${CopyCurl} path=${path} />
      <button type="button" onClick=${loaded.refresh}>Refresh</button>
    <//>
    <form class="filters" key=${JSON.stringify(filters)} onSubmit=${submit}>
      <label>State
        <select name="state" onChange=${now}>
          <option value="">all</option>
          ${STATES.map((one) => html`<option value=${one} selected=${one === filters.state}>${one}</option>`)}
        </select>
      </label>
      <label>Id begins with <input name="prefix" value=${filters.prefix} spellcheck="false" autocomplete="off" /></label>
      <label>Opened since <input name="since" type="datetime-local" value=${local(filters.opened_since)} /></label>
      <label>Opened until <input name="until" type="datetime-local" value=${local(filters.opened_until)} /></label>
      <label>Order
        <select name="order" onChange=${now}>
          ${ORDERS.map(([one, says]) => html`<option value=${one} selected=${one === (filters.order ?? "")}>${says}</option>`)}
        </select>
      </label>
      <label><input name="failed" type="checkbox" checked=${filters.failed} onChange=${now} /> with failures</label>
      <label><input name="undelivered" type="checkbox" checked=${filters.undelivered} onChange=${now} /> undelivered</label>
      <button type="submit">Filter</button>
      ${Object.keys(filters).length > 0 && html`<a class="button quiet" href=${to(["resources"])}>Clear</a>`}
    </form>
    <${Loaded} of=${loaded}>
      ${(page) => html`<${List} key=${path} ...${{ page, values, refresh: loaded.refresh }} />`}
    <//>`;
}

function List({ page, values, refresh }) {
  const { cursor = "", ...filters } = values;
  const { state = "", prefix = "", ...others } = filters;
  const admin = useIsAdmin();
  const chosen = useSelection(page.resources.map((one) => one.resource_id));
  const next = page.next_cursor && to(["resources"], { ...filters, cursor: page.next_cursor });
  const pager = html`<${Pager} first=${cursor && to(["resources"], filters)} next=${next} />`;
  if (!page.resources.length) {
    const some = Object.keys(values).length > 0;
    return html`<${Empty} title=${next ? "None on this page" : some ? "No resource fits" : "No resource is stored"}>
        ${
          next
            ? "The search goes on with the next page."
            : some
              ? "Ids are compared from their beginning, and capitals count."
              : "A resource is there as soon as its first packet has come."
        }
      <//>${pager}`;
  }
  const done = () => (chosen.clear(), refresh());
  return html`${admin && html`<${Bulk} ...${{ chosen, done, state, prefix, whole: !Object.keys(others).length }} />`}
    <${Table} label="Resources" columns=${admin ? [[chosen.head, "box"], ...COLUMNS] : COLUMNS}>
      ${page.resources.map(
        (one) => html`<tr key=${one.resource_id}>
        ${admin && html`<td class="box">${chosen.box(one.resource_id)}</td>`}
        <th scope="row" class="id"><a href=${to(["resources", one.resource_id])}>${one.resource_id}</a></th>
        <td><${Badge} state=${one.state} /></td>
        <td><${Progress} of=${one} /></td>
        <td class=${"num" + (one.failed ? " bad" : "")}>${one.failed ? number(one.failed) : "–"}</td>
        <td class="when"><${Ago} at=${one.opened_at} /></td>
      </tr>`,
      )}
    <//>${pager}`;
}

function Progress({ of }) {
  const known = of.total ?? of.received;
  return html`<span class="progress">
    <progress value=${of.done} max=${Math.max(1, known)} aria-hidden="true" />
    <span>${number(of.done)} of ${of.total === null ? `${number(of.received)}+` : number(of.total)}</span>
  </span>`;
}

function Bulk({ chosen, done, state, prefix, whole }) {
  const ids = chosen.ids;
  const each = (method, action, body) => ids.map((id) => [method, `/v1/resources/${segment(id)}${action}`, body]);
  const these = counted(ids.length, "resource");
  const none = ids.length === 0;
  return html`<div class="bulk" role="group" aria-label="Actions on what is selected">
    <span aria-live="polite">${none ? "Select resources to act on them" : `${these} selected`}</span>
    <${ActionButton} label="Retry" disabled=${none} done=${done} requests=${each("POST", "/retry")}
      question=${`Give packets without an output of ${these} a new set of attempts?`} />
    <${ActionButton} label="Complete now" disabled=${none} done=${done} requests=${each("POST", "/complete", { force: true })}
      question=${`Close ${these} as they are? What is missing stays missing, and their webhooks say so.`} />
    <${ActionButton} label="Cancel" danger disabled=${none} done=${done} requests=${each("POST", "/cancel")}
      question=${`End ${these} without a webhook? This cannot be undone, but by a retry.`} />
    <${ActionButton} label="Delete" danger disabled=${none} done=${done} requests=${each("DELETE", "")}
      question=${`Delete ${these} with packets, outputs and deliveries? This cannot be undone.`}>
      <p class="muted">Those that are open, and those with a due delivery, are refused.</p>
    <//>
    ${whole && (state === "incomplete" || (state === "open" && prefix)) && html`<${RetryAll} ...${{ state, prefix, done }} />`}
  </div>`;
}

function RetryAll({ state, prefix, done }) {
  const body = { state, ...(prefix && { prefix }) };
  const steps = async (more, onStep = () => true) => {
    const sum = { resources: 0, packets: 0 };
    for (let cursor = ""; cursor !== null;) {
      const step = await post("/v1/resources/retry", { ...body, ...more, cursor });
      sum.resources += step.resources;
      sum.packets += step.packets;
      cursor = onStep(sum.resources) ? step.next_cursor : null;
    }
    return `${counted(sum.resources, "resource")}, ${counted(sum.packets, "packet")}`;
  };
  return html`<span class="space" /><${ActionButton} label="Retry all that fit" done=${done}
    question=${`Retry every ${state} resource${prefix ? ` whose id begins with “${prefix}”` : ""} that has packets without an output?`}
    count=${() => steps({ dry_run: true })}
    run=${async (onStep) => ({ wrong: [], text: await steps({}, onStep) })} />`;
}
