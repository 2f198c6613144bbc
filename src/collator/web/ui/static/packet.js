// One packet of a resource: its state, why it failed, and, where the setting allows it, what came and what went out.

import { html, useEffect, useRef } from "./preact.js";
import { get } from "./api.js";
import { bytes, duration, shown } from "./format.js";
import { useLoad } from "./live.js";
import { Badge, Card, Facts, Loaded, useSession } from "./parts.js";

export function Packet({ path, index, setIndex }) {
  const field = useRef();
  const section = useRef();
  useEffect(() => {
    if (index === null) return;
    field.current.value = index;
    section.current.scrollIntoView({ block: "nearest" });
  }, [index]);
  const submit = (event) => (event.preventDefault(), setIndex(Number(field.current.value)));
  const form = html`<form class="inline" onSubmit=${submit}>
    <label>Index <input ref=${field} type="number" min="0" step="1" required /></label>
    <button type="submit">Look</button>
  </form>`;
  return html`<div ref=${section}>
    <${Card} title="A packet" actions=${form}>
      ${
        index === null
          ? html`<p class="muted">Give an index to see what is stored of that packet.</p>`
          : html`<${Seen} key=${index} path=${`${path}/packets/${index}`} />`
      }
    <//>
  </div>`;
}

function Seen({ path }) {
  const { payloads } = useSession();
  const loaded = useLoad((signal) => get(path, signal), [path]);
  return html`<${Loaded} of=${loaded}>
    ${(one) => html`<${Facts} rows=${[
      ["Index", one.index],
      ["State", one.state ? html`<${Badge} state=${one.state} />` : "ended without an outcome"],
      ["Attempts", one.attempts],
      one.due_in !== null && ["Next attempt", `in ${duration(one.due_in)}`],
      one.seq !== null && ["Outcome number", one.seq],
      ["Payload", bytes(one.payload_size)],
    ]} />
      ${one.reason && html`<h3>Reason</h3><pre>${one.reason}</pre>`}
      ${payloads && one.payload !== undefined && html`<h3>Payload</h3><pre>${shown(one.payload)}</pre>`}
      ${payloads && one.output !== undefined && html`<h3>Output</h3><pre>${shown(one.output)}</pre>`}
      ${!payloads && html`<p class="muted">Payloads and outputs are not shown here: the setting <code>ui_payloads</code> shows them.</p>`}`}
  <//>`;
}
