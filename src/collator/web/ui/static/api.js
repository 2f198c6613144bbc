// Asks the HTTP API, as any client does. The browser sends the session's cookie by itself; the field says that it is
// the page that asks, without which a cookie changes nothing.

const FIELDS = { "x-collator-page": "1" };

/** A refusal of the service (RFC 9457), or no answer at all: `status` is 0 then. */
export class Problem extends Error {
  constructor(status, detail, code = "") {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** A segment of a path. */
export const segment = (text) => encodeURIComponent(text);

/** A query out of what is set in *values*. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return set.length ? "?" + new URLSearchParams(set) : "";
}

/** The answer to a request: JSON as a value, all else as text. Throws `Problem`. */
export async function call(method, path, body, signal) {
  const headers = { ...FIELDS };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response, text;
  try {
    response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer.");
  }
  const isJson = /^application\/(problem\+)?json/.test(response.headers.get("content-type") ?? "");
  const value = isJson ? parse(text) : text;
  if (response.ok) return value;
  if (response.status === 401 && !path.startsWith("/ui/")) dispatchEvent(new Event("signed-out"));
  throw new Problem(response.status, value?.detail ?? response.statusText, value?.code);
}

export const get = (path, signal) => call("GET", path, undefined, signal);
export const post = (path, body) => call("POST", path, body);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(0, "The answer is not JSON: something between here and the service has changed it.");
  }
}

/** A request as a command for a terminal. The token stays out of it. */
export function asCurl(method, path, body, guarded) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  if (guarded) parts.push("-H", '"Authorization: Bearer $COLLATOR_TOKEN"');
  if (body !== undefined) parts.push("-H", "'content-type: application/json'", "-d", quoted(JSON.stringify(body)));
  parts.push(quoted(location.origin + path));
  return parts.join(" ");
}

/** The samples of metrics, by name: `[{labels, value}]`. */
export function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_:]+)(?:\{(.*)\})? (\S+)$/i.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:\\.|[^"\\])*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, it) => (it === "n" ? "\n" : it));
    }
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

/** The sum of the samples of a metric that have *labels*. */
export function total(metrics, name, labels = {}) {
  const fits = (sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
  return (metrics.get(name) ?? []).filter(fits).reduce((sum, sample) => sum + sample.value, 0);
}
