// What the views are made with, under one name: Preact, its hooks, and htm, which reads tags out of template literals.

import htm from "./vendor/htm-3.1.1.js";
import { h } from "./vendor/preact-10.29.8.js";

export { createContext, render } from "./vendor/preact-10.29.8.js";
export { useContext, useEffect, useRef, useState } from "./vendor/preact-hooks-10.29.8.js";

export const html = htm.bind(h);
