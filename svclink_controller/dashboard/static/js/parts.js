// Parts that every view uses. The state of something is a shape and a word, never a color alone.

import { html } from "./html.js";
import { visible } from "./text.js";

const TONES = {
  none: "idle",
  ok: "good",
  skipped: "idle",
  waiting: "info",
  warning: "warn",
  error: "bad",
};

const SHAPES = {
  none: html`<circle cx="6" cy="6" r="1.5" fill="currentColor" />`,
  ok: html`<circle cx="6" cy="6" r="4" fill="currentColor" />`,
  skipped: html`<circle
    cx="6"
    cy="6"
    r="3.75"
    fill="none"
    stroke="currentColor"
    stroke-width="1.5"
  />`,
  waiting: html`<circle
      cx="6"
      cy="6"
      r="4.25"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
    />
    <path d="M6 1.75a4.25 4.25 0 0 1 0 8.5z" fill="currentColor" />`,
  warning: html`<path d="M6 1 11.5 10.75H.5z" fill="currentColor" />`,
  error: html`<rect x="1.25" y="1.25" width="9.5" height="9.5" rx="2" fill="currentColor" />
    <path class="cross" d="M4 4l4 4M8 4l-4 4" stroke-width="1.5" stroke-linecap="round" />`,
};

/** What a level of a Service is called. */
export const LEVEL_WORDS = {
  none: "nothing to mirror",
  ok: "as expected",
  skipped: "not mirrored",
  waiting: "about to change",
  warning: "needs attention",
  error: "failing",
};

/** The class of a level. */
export function toneOf(level) {
  return TONES[level];
}

/** The shape of a level. A word stands beside it, so it says nothing to a screen reader. */
export function Shape({ level }) {
  return html`<svg
    class="shape ${toneOf(level)}"
    width="12"
    height="12"
    viewBox="0 0 12 12"
    aria-hidden="true"
  >
    ${SHAPES[level]}
  </svg>`;
}

/** A level and a word for it, in a box. */
export function Pill({ level, children }) {
  return html`<span class="tone pill ${toneOf(level)}"
    ><${Shape} level=${level} />${children}</span
  >`;
}

/** Untrusted text: isolated, so that its direction does not reorder what is around it. */
export function Untrusted({ children }) {
  return html`<bdi>${visible([children].flat().join(""))}</bdi>`;
}

/**
 * A bar of several parts: `[[class, value], ...]`.
 *
 * The numbers are in the text beside it, so it says nothing to a screen reader.
 */
export function Bar({ parts, total, mark = null, className = "" }) {
  let left = 0;
  const places = parts.map(([kind, value]) => {
    const place = { kind, left, width: total ? (value / total) * 100 : 0 };
    left += place.width;
    return place;
  });
  return html`<svg class="stack ${className}" aria-hidden="true" preserveAspectRatio="none">
    <rect class="rest" width="100%" height="100%" />
    ${places.map(
      (each) =>
        html`<rect class=${each.kind} x="${each.left}%" width="${each.width}%" height="100%" />`,
    )}
    ${mark !== null && html`<line class="mark" x1="${mark}%" x2="${mark}%" y1="-3" y2="100%" />`}
  </svg>`;
}

/** `2 active, 1 standby, 1 not ready`. */
export function endpointWords({ active, standby, notReady }) {
  const words = [`${active} active`];
  if (standby) {
    words.push(`${standby} standby`);
  }
  if (notReady) {
    words.push(`${notReady} not ready`);
  }
  return words.join(", ");
}

export function EndpointBar({ counts }) {
  const { active, standby, notReady } = counts;
  const parts = [
    ["active", active],
    ["standby", standby],
    ["not-ready", notReady],
  ];
  return html`<${Bar} parts=${parts} total=${counts.total} className="thin" />`;
}
