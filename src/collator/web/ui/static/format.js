// Numbers, times and sizes, as people read them.

const NUMBER = new Intl.NumberFormat("en");
const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));

export const counted = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;

/** Seconds in the two largest units: `3 h 12 min`. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  let left = Math.round(seconds);
  const parts = [];
  for (const [name, size] of UNITS) {
    const whole = Math.floor(left / size);
    if (whole || parts.length) parts.push(whole ? `${number(whole)} ${name}` : "");
    left -= whole * size;
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(" ");
}

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

/** A time in the zone of who reads it. */
export function clock(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  const date = today ? {} : { year: "numeric", month: "short", day: "2-digit" };
  return at.toLocaleString("en-GB", { ...date, hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  for (; value >= 1024 && place < units.length - 1; place++) value /= 1024;
  return `${place && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[place]}`;
}

/** A rate a second. */
export const rate = (value) => (value >= 100 ? number(Math.round(value)) : value.toFixed(value && value < 10 ? 1 : 0));

export const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** A time as the field for it wants it: in the zone of who reads it, without saying so. */
export function local(time) {
  if (!time) return "";
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** What such a field says, as the API wants it. */
export const utc = (value) => (value ? new Date(value).toISOString() : "");
