// Resources: a list by state and prefix, with what can be done to many of them.

import { html } from "./preact.js";
import { get, post, query, segment } from "./api.js";
import { ActionButton, useSelection } from "./ask.js";
import { counted, number } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Badge, CopyCurl, Empty, Heading, Loaded, Pager, Table, useIsAdmin } from "./parts.js";
import { go, to } from "./router.js";

const STATES = ["open", "collated", "incomplete", "cancelled"];
const COLUMNS = [["Id"], ["State"], ["Progress"], ["Failed", "num"], ["Opened"]];
const LIMIT = 100;

export function Resources({ values }) {
  const { state = "", prefix = "", cursor = "" } = values;
  const path = "/v1/resources" + query({ state, prefix, cursor, limit: LIMIT });
  const loaded = useLoad((signal) => get(path, signal), [path]);
  const filter = (changed) => go(["resources"], { state, prefix, ...changed });
  const submit = (event) => (event.preventDefault(), filter({ prefix: event.target.elements.prefix.value }));
  return html`<${Heading} title="Resources">
      <${CopyCurl} path=${path} />
      <button type="button" onClick=${loaded.refresh}>Refresh</button>
    <//>
    <form class="filters" onSubmit=${submit}>
      <label>State
        <select value=${state} onChange=${(event) => filter({ state: event.target.value })}>
          <option value="">all</option>
          ${STATES.map((one) => html`<option value=${one} selected=${one === state}>${one}</option>`)}
        </select>
      </label>
      <label>Id begins with <input name="prefix" value=${prefix} spellcheck="false" autocomplete="off" /></label>
      <button type="submit">Filter</button>
      ${(state || prefix) && html`<a class="button quiet" href=${to(["resources"])}>Clear</a>`}
    </form>
    <${Loaded} of=${loaded}>
      ${(page) => html`<${List} key=${path} ...${{ page, values, refresh: loaded.refresh }} />`}
    <//>`;
}

function List({ page, values, refresh }) {
  const { state = "", prefix = "", cursor = "" } = values;
  const admin = useIsAdmin();
  const chosen = useSelection(page.resources.map((one) => one.resource_id));
  if (!page.resources.length) {
    return html`<${Empty} title=${state || prefix || cursor ? "No resource fits" : "No resource is stored"}>
      ${state || prefix ? "Ids are compared from their beginning, and capitals count." : "A resource is there as soon as its first packet has come."}
    <//>`;
  }
  const done = () => (chosen.clear(), refresh());
  return html`${admin && html`<${Bulk} ...${{ chosen, done, state, prefix }} />`}
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
    <//>
    <${Pager} first=${cursor && to(["resources"], { state, prefix })}
      next=${page.next_cursor && to(["resources"], { state, prefix, cursor: page.next_cursor })} />`;
}

function Progress({ of }) {
  const known = of.total ?? of.received;
  return html`<span class="progress">
    <progress value=${of.done} max=${Math.max(1, known)} aria-hidden="true" />
    <span>${number(of.done)} of ${of.total === null ? `${number(of.received)}+` : number(of.total)}</span>
  </span>`;
}

function Bulk({ chosen, done, state, prefix }) {
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
    ${(state === "incomplete" || (state === "open" && prefix)) && html`<${RetryAll} ...${{ state, prefix, done }} />`}
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
