// Actions: each asks first, says how many things it is about, shows how far it is, and what went wrong.

import { html, useEffect, useRef, useState } from "./preact.js";
import { asCurl, call } from "./api.js";
import { counted, number } from "./format.js";
import { CopyButton, tell, useSession } from "./parts.js";

/**
 * A button that does something after a question. *question* is said; *requests*, `[method, path, body]` each, are made
 * one after the other; or *run(progress)* does it all and gives what to say. *done* is called behind them.
 */
export function ActionButton({ label, question, requests, count, run, done, danger, children, disabled }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class=${danger ? "danger" : ""} disabled=${disabled} onClick=${() => setOpen(true)}>
      ${label}
    </button>
    ${
      open &&
      html`<${Ask}
      ...${{ label, question, requests, count, run, danger, children }}
      close=${(changed) => {
        setOpen(false);
        if (changed) done?.();
      }}
    />`
    }`;
}

function Ask({ label, question, requests, count, run, danger, children, close }) {
  const { guarded } = useSession();
  const dialog = useRef();
  const stop = useRef(false);
  const changed = useRef(false);
  const [progress, setProgress] = useState(null);
  const [problems, setProblems] = useState([]);
  const [found, setFound] = useState(count ? null : "");
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    count?.().then(setFound, (error) => setProblems([error.message]));
    return () => (stop.current = true);
  }, []);

  const start = async () => {
    changed.current = true;
    setProblems([]);
    setProgress([0, requests?.length ?? 0]);
    const said = run
      ? await run((done) => !stop.current && (setProgress([done, 0]), true)).catch((error) => ({
          wrong: [error.message],
        }))
      : await each(requests, stop, setProgress);
    if (said.wrong.length) {
      setProblems(said.wrong);
      setProgress(null);
      return;
    }
    tell(`${label}: ${said.text ?? counted(requests.length, "change")}.`);
    dialog.current?.close();
  };
  const busy = progress !== null;
  const [method, path, body] = requests?.length === 1 ? requests[0] : [];
  return html`<dialog ref=${dialog} onClose=${() => close(changed.current)} aria-labelledby="ask">
    <h2 id="ask">${label}</h2>
    <p>${question}</p>
    ${count && html`<p aria-live="polite"><strong>${found ?? "Counting …"}</strong></p>`} ${children}
    ${
      problems.length > 0 &&
      html`<div class="problems" role="alert"><ul>${problems.slice(0, 8).map((one) => html`<li>${one}</li>`)}
      ${problems.length > 8 && html`<li>and ${number(problems.length - 8)} more</li>`}</ul></div>`
    }
    ${
      busy &&
      html`<p role="status">
      ${progress[1] ? html`<progress value=${progress[0]} max=${progress[1]} />` : html`<progress />`}${" "}
      ${number(progress[0])} ${progress[1] ? `of ${number(progress[1])}` : "so far"}
    </p>`
    }
    <footer>
      ${
        method &&
        html`<${CopyButton} text=${asCurl(method, path, body, guarded)} label="Copy this action as a curl command">
        Copy as curl
      <//>`
      }
      <span class="space" />
      <button type="button" onClick=${() => dialog.current.close()}>${busy ? "Stop" : changed.current ? "Close" : "Back"}</button>
      <button type="button" class=${danger ? "danger solid" : "solid"} disabled=${busy || found === null} onClick=${start}>
        ${problems.length ? "Try again" : label}
      </button>
    </footer>
  </dialog>`;
}

async function each(requests, stop, setProgress) {
  const wrong = [];
  let done = 0;
  for (const [method, path, body] of requests) {
    if (stop.current) break;
    try {
      await call(method, path, body);
    } catch (error) {
      wrong.push(requests.length > 1 ? `${decodeURIComponent(path.split("/")[3])}: ${error.message}` : error.message);
    }
    setProgress([++done, requests.length]);
  }
  return { wrong, text: `${number(done - wrong.length)} of ${number(requests.length)} done` };
}

/** Which lines of a list are chosen: the chosen ids that are still there, and what to put into the table. */
export function useSelection(ids) {
  const [chosen, set] = useState(new Set());
  const there = ids.filter((id) => chosen.has(id));
  const toggle = (id) =>
    set((before) => new Set(before.has(id) ? [...before].filter((one) => one !== id) : [...before, id]));
  const all = ids.length > 0 && there.length === ids.length;
  return {
    ids: there,
    clear: () => set(new Set()),
    head: html`<input type="checkbox" aria-label="Select all on this page" checked=${all} onChange=${() => set(new Set(all ? [] : ids))} />`,
    box: (id) =>
      html`<input type="checkbox" aria-label=${"Select " + id} checked=${chosen.has(id)} onChange=${() => toggle(id)} />`,
  };
}
