// What a receiver said that did not accept a delivery. It may repeat what was sent, so that a person has to open it.

import { html } from "./preact.js";
import { get, segment } from "./api.js";
import { counted } from "./format.js";
import { useLoad } from "./live.js";
import { Ago, Failed } from "./parts.js";

export function Answer({ of }) {
  return html`<p class="muted">The last answer that was no success came <${Ago} at=${of.at} />: ${counted(of.size, "byte")},
      ${" "}${of.media_type || "no content type"}.</p>
    ${
      of.text
        ? html`<details><summary>Show the beginning of the text</summary><pre tabindex="0">${of.text}</pre></details>`
        : html`<p>It is no text that could be shown.</p>`
    }`;
}

/** The answer to *delivery*, which a list of deliveries does not have; nothing where there was none with a body. */
export function AnswerTo({ delivery }) {
  const path = `/v1/deliveries/${segment(delivery.id)}`;
  const { data, error, refresh } = useLoad((signal) => get(path, signal), [path], 5000);
  return html`${error && html`<${Failed} error=${error} again=${refresh} />`}
    ${
      data?.answer &&
      html`<h3>What ${delivery.endpoint} answered: HTTP ${data.answer.status}</h3>
      <${Answer} of=${data.answer} />`
    }`;
}
