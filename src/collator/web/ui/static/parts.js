// Small parts that all views are made of.

import { createContext, html, useContext, useEffect, useRef, useState } from "./preact.js";
import { asCurl } from "./api.js";
import { ago, clock } from "./format.js";

/** The session, as `/ui/session` shows it. */
export const SessionContext = createContext({ roles: [], prefixes: [] });
export const useSession = () => useContext(SessionContext);
export const useIsAdmin = () => useSession().roles.includes("admin");

/** Tell a person what happened, without a click; *bad* where it went wrong. */
export const tell = (text, bad = false) => dispatchEvent(new CustomEvent("told", { detail: { text, bad } }));

export function Messages() {
  const [messages, set] = useState([]);
  useEffect(() => {
    const add = ({ detail }) => {
      const message = { ...detail, key: Math.random() };
      set((before) => [...before.slice(-2), message]);
      setTimeout(() => set((before) => before.filter((one) => one !== message)), detail.bad ? 12000 : 5000);
    };
    addEventListener("told", add);
    return () => removeEventListener("told", add);
  }, []);
  return html`<div class="messages" role="status" aria-live="polite">
    ${messages.map((one) => html`<p key=${one.key} class=${one.bad ? "bad" : "good"}>${one.text}</p>`)}
  </div>`;
}

/** The heading of a view. It gets the focus when the view is entered, so that a screen reader says where one is. */
export function Heading({ title, children, kind }) {
  const ref = useRef();
  useEffect(() => {
    document.title = `${title} · Collator`;
    ref.current.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [title]);
  return html`<header class="heading">
    <div>
      ${kind && html`<p class="kind">${kind}</p>`}
      <h1 tabindex="-1" ref=${ref}>${title}</h1>
    </div>
    <div class="actions">${children}</div>
  </header>`;
}

export function Card({ title, note, children, wide, actions }) {
  return html`<section class=${wide ? "card wide" : "card"}>
    ${title && html`<header><h2>${title}</h2>${note && html`<span class="muted">${note}</span>`}${actions}</header>`}
    ${children}
  </section>`;
}

const TONES = {
  open: "info", collated: "good", incomplete: "warn", cancelled: "off", due: "info", leased: "info", waiting: "info",
  delivered: "good", dead: "bad", done: "good", failed: "bad", paused: "warn", "breaker open": "bad", sending: "good", stopped: "bad",
}; // prettier-ignore

export const Badge = ({ state, children }) =>
  html`<span class=${"badge " + (TONES[state] ?? "off")}>${children ?? state}</span>`;

export function Time({ at }) {
  return at ? html`<time datetime=${at} title=${new Date(at).toString()}>${clock(at)}</time>` : "–";
}
export const Ago = ({ at }) => (at ? html`<time datetime=${at} title=${clock(at)}>${ago(at)}</time>` : "–");

export const Empty = ({ title, children }) =>
  html`<div class="empty"><p class="title">${title}</p><p>${children}</p></div>`;

export function Failed({ error, again }) {
  return html`<div class="failed" role="alert">
    <p>${error.message}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </div>`;
}

/** What was loaded, or that it is being loaded, or why it was not. */
export function Loaded({ of, children }) {
  if (of.data !== undefined) {
    return html`${of.error && html`<${Failed} error=${of.error} again=${of.refresh} />`}${children(of.data)}`;
  }
  if (of.error) return html`<${Failed} error=${of.error} again=${of.refresh} />`;
  return html`<div class="loading" role="status"><span class="sr">Loading</span><i /><i /><i /></div>`;
}

/** *columns* of `[heading, class]`; a table that is wider than the screen scrolls by itself. */
export function Table({ label, columns, children }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table>
      <thead><tr>${columns.map((one) => html`<th scope="col" class=${one[1] ?? ""}>${one[0]}</th>`)}</tr></thead>
      <tbody>${children}</tbody>
    </table>
  </div>`;
}

const LONG = 60; // letters of a fact that has a line of its own

export function Facts({ rows }) {
  const there = rows.filter(Boolean);
  const size = (value) => (typeof value === "string" && value.length > LONG ? "wide" : "");
  return html`<dl class="facts">
    ${there.map(([name, value]) => html`<div class=${size(value)}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

export function CopyButton({ text, children, label }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied.");
    } catch {
      tell("The browser does not allow copying here: it needs HTTPS, or localhost.", true);
    }
  };
  return html`<button type="button" class="quiet" onClick=${copy} title=${label}>${children}</button>`;
}

export const WebhookId = ({ id }) => html`<code>${id}</code>${" "}
  <${CopyButton} text=${id} label="Copy the webhook id">Copy<span class="sr"> the webhook id</span><//>`;

export function CopyCurl({ method = "GET", path, body }) {
  const { guarded } = useSession();
  return html`<${CopyButton} text=${asCurl(method, path, body, guarded)} label="Copy this view as a curl command">
    Copy as curl
  <//>`;
}

/** First page and next page of a list that goes on by a cursor; back is the browser's. */
export function Pager({ first, next }) {
  if (!first && !next) return null;
  return html`<nav class="pager" aria-label="Pages">
    ${first ? html`<a class="button" href=${first}>First page</a>` : html`<span />`}
    ${next && html`<a class="button" href=${next}>Next page</a>`}
  </nav>`;
}
