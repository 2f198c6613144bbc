// Signing in: a token is given once, and is a cookie then that no script can read.

import { html, useEffect, useRef, useState } from "./preact.js";
import { post } from "./api.js";

export function Login({ ended, entered }) {
  const field = useRef();
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · Collator";
    field.current.focus();
  }, []);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      entered(await post("/ui/session", { token: field.current.value }));
    } catch (error) {
      setProblem(error.message);
      setBusy(false);
      field.current.select();
    }
  };
  return html`<main class="login">
    <form onSubmit=${enter}>
      <img src="/ui/icon.svg" alt="" width="44" height="44" />
      <h1>Collator</h1>
      ${ended && !problem && html`<p role="status">The session has ended: sign in again.</p>`}
      <label for="token">Access token</label>
      <input id="token" ref=${field} type="password" autocomplete="current-password" spellcheck="false" required aria-describedby="hint" />
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <button type="submit" class="solid" disabled=${busy}>Sign in</button>
      <p id="hint" class="muted">
        A token with the role <code>read</code> looks, one with <code>admin</code> acts. Make one with <code>collator token</code>.
      </p>
    </form>
  </main>`;
}
