// The tools of the frame: search, the pause of live views, and the theme.

import { html, useEffect, useRef, useState } from "./preact.js";
import { get, query, segment } from "./api.js";
import { setPaused, useLiveState } from "./live.js";
import { tell } from "./parts.js";
import { go } from "./router.js";

const WEBHOOK = /^msg_[a-z2-7]{52}$/;

/** Whether *path* leads to something; an error that is not its absence is thrown. */
async function exists(path) {
  try {
    await get(path);
    return true;
  } catch (error) {
    if (error.status === 404) return false;
    throw error;
  }
}

async function find(text) {
  const [webhook, endpoint] = text.split(/:(.*)/s);
  if (WEBHOOK.test(webhook) && endpoint) return go(["deliveries", text]);
  if (WEBHOOK.test(webhook)) {
    const { deliveries } = await get("/v1/deliveries" + query({ webhook_id: webhook, limit: 2 }));
    if (!deliveries.length) return tell("No delivery has that webhook id.", true);
    return deliveries.length > 1 ? go(["deliveries"], { webhook_id: webhook }) : go(["deliveries", deliveries[0].id]);
  }
  if (await exists(`/v1/resources/${segment(text)}`)) return go(["resources", text]);
  return go(["resources"], { prefix: text });
}

export function Search() {
  const field = useRef();
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName))
        return;
      event.preventDefault();
      field.current.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  const search = async (event) => {
    event.preventDefault();
    const text = field.current.value.trim();
    if (!text) return;
    try {
      await find(text);
      field.current.value = "";
    } catch (error) {
      tell(error.message, true);
    }
  };
  return html`<form class="search" role="search" onSubmit=${search}>
    <input ref=${field} type="search" autocomplete="off" spellcheck="false"
      aria-label="Find a resource, a delivery or a webhook by its id" placeholder="Resource, delivery or webhook id   /" />
  </form>`;
}

export function LiveButton() {
  const { paused, failing, seen } = useLiveState();
  const since = seen ? new Date(seen).toLocaleTimeString("en-GB") : "";
  const text = paused ? "Paused" : failing ? "No answer" : "Live";
  const title = paused || failing ? `Stale since ${since}` : "Views are kept up to date";
  return html`<button type="button" class=${`quiet live ${paused ? "paused" : failing ? "failing" : ""}`}
      title=${title} onClick=${() => setPaused(!paused)}>
      <i />${text}<span class="sr">: ${paused ? "go on with" : "pause"} live updates</span>
    </button>
    ${(paused || failing) && since && html`<span class="muted stale" role="status">stale since ${since}</span>`}`;
}

const THEMES = { auto: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };

export function ThemeButton() {
  const [theme, set] = useState(localStorage.getItem("theme") ?? "auto");
  const names = Object.keys(THEMES);
  const turn = () => {
    const next = names[(names.indexOf(theme) + 1) % names.length];
    set(next);
    localStorage.setItem("theme", next);
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
  };
  const [sign, name] = THEMES[theme] ?? THEMES.auto;
  return html`<button type="button" class="quiet" onClick=${turn} aria-label=${`Theme: ${name}`} title=${`Theme: ${name}`}>${sign}</button>`;
}
