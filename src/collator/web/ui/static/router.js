// Where one is: all of it stands behind the # of the address, so that a place can be sent to somebody.

import { useEffect, useState } from "./preact.js";
import { query } from "./api.js";

/** The address of a place: *parts* of its path, and what is set in *values*. */
export function to(parts, values = {}) {
  return "#/" + parts.map(encodeURIComponent).join("/") + query(values);
}

export const go = (parts, values) => (location.hash = to(parts, values));

/** The same place with other *values*; the way back leaves it out. */
export function replace(parts, values) {
  history.replaceState(null, "", to(parts, values));
  dispatchEvent(new Event("hashchange"));
}

function read() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { parts: path.split("/").map(decoded), values: Object.fromEntries(new URLSearchParams(search)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand
  }
}

export function usePlace() {
  const [place, set] = useState(read);
  useEffect(() => {
    const moved = () => set(read());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}
