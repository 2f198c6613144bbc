// The frame around all views: who is signed in, where one is, and how to get elsewhere.

import { html, render, useEffect, useState } from "./preact.js";
import { call, get } from "./api.js";
import { Deliveries } from "./deliveries.js";
import { Delivery } from "./delivery.js";
import { Endpoints } from "./endpoints.js";
import { useLoad } from "./live.js";
import { Login } from "./login.js";
import { Overview } from "./overview.js";
import { Empty, Failed, Messages, SessionContext } from "./parts.js";
import { Resource } from "./resource.js";
import { Resources } from "./resources.js";
import { to, usePlace } from "./router.js";
import { LiveButton, Search, ThemeButton } from "./shell.js";
import { System } from "./system.js";

const VIEWS = [
  ["", "Overview"],
  ["resources", "Resources"],
  ["deliveries", "Deliveries"],
  ["endpoints", "Endpoints"],
  ["system", "System"],
];
const LIMITED = ["resources", "deliveries"]; // what a token for some resources alone may see

function View({ place, session }) {
  const [view, id] = place.parts;
  const limited = session.prefixes.length > 0;
  if (limited && !view) return html`<${Resources} values=${place.values} />`;
  if (view === "" && !id) return html`<${Overview} />`;
  if (view === "resources") {
    return id === undefined ? html`<${Resources} values=${place.values} />` : html`<${Resource} key=${id} id=${id} />`;
  }
  if (view === "deliveries") {
    return id === undefined ? html`<${Deliveries} values=${place.values} />` : html`<${Delivery} key=${id} id=${id} />`;
  }
  if (view === "endpoints") return html`<${Endpoints} />`;
  if (view === "system") return html`<${System} values=${place.values} />`;
  return html`<${Empty} title="There is no such view">Use the menu above, or the search.<//>`;
}

function Frame({ session, leave }) {
  const place = usePlace();
  const views = session.prefixes.length ? VIEWS.filter(([name]) => LIMITED.includes(name)) : VIEWS;
  const current = place.parts[0] || (session.prefixes.length ? "resources" : "");
  return html`<${SessionContext.Provider} value=${session}>
    <a class="skip" href="#content" onClick=${(event) => (event.preventDefault(), document.querySelector("h1")?.focus())}>
      Skip to content
    </a>
    <header class="top">
      <a class="brand" href="#/"><img src="/ui/icon.svg" alt="" width="26" height="26" />Collator</a>
      <nav aria-label="Views">
        ${views.map(([name, title]) => html`<a href=${to([name])} aria-current=${current === name ? "page" : null}>${title}</a>`)}
      </nav>
      <${Search} />
      <div class="tools">
        <${LiveButton} />
        <${ThemeButton} />
        ${
          session.guarded &&
          html`<button type="button" class="quiet" onClick=${leave} title=${`${session.name} (${session.roles.join(", ")})`}>Sign out</button>`
        }
      </div>
    </header>
    <main id="content"><${View} place=${place} session=${session} /></main>
    <footer class="bottom">
      Collator ${session.version}${session.guarded ? ` · ${session.name} · ${session.roles.includes("admin") ? "may act" : "may look"}` : ""}
    </footer>
    <${Messages} />
  <//>`;
}

function App() {
  const loaded = useLoad((signal) => get("/ui/session", signal), []);
  const [session, setSession] = useState(null);
  useEffect(() => {
    const out = () => setSession({ guarded: true, signed_in: false, ended: true });
    addEventListener("signed-out", out);
    return () => removeEventListener("signed-out", out);
  }, []);
  const now = session ?? loaded.data;
  if (!now) return loaded.error ? html`<${Failed} error=${loaded.error} again=${loaded.refresh} />` : null;
  if (!now.signed_in) return html`<${Login} ended=${now.ended} entered=${setSession} />`;
  const leave = () => call("DELETE", "/ui/session").then(setSession);
  return html`<${Frame} session=${now} leave=${leave} />`;
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
