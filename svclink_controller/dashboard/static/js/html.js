// Views are pure functions from facts to elements. Text always becomes a text node, never markup.

import htm from "../vendor/htm.module.js";
import { Component, createRef, h, render } from "../vendor/preact.module.js";

export const html = htm.bind(h);
export { Component, createRef, render };
