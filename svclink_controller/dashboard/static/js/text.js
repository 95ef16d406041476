// Numbers, times and untrusted text, as people read them.

const NUMBERS = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

// Control characters, and those that reorder or hide the text around them.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;

/** Untrusted text, with each invisible or reordering character replaced by a visible one. */
export function visible(text) {
  return text.replace(INVISIBLE, "\ufffd");
}

export function number(value) {
  return NUMBERS.format(value);
}

/** `1 endpoint`, `2 endpoints`. */
export function counted(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${share}%`;
}

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A duration in its largest unit: `42 s`, `3 min`, `5 h`, `12 d`. */
export function duration(seconds) {
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? UNITS.at(-1);
  return `${Math.floor(Math.max(seconds, 0) / size)} ${unit}`;
}

const UNKNOWN = "unknown";

/** How long ago a moment was. Clocks differ a little, so the future counts as now. */
export function ago(moment, now) {
  if (moment === null) {
    return UNKNOWN;
  }
  return now - moment < 2 ? "just now" : `${duration(now - moment)} ago`;
}

/** How far away a moment is, in either direction. */
export function until(moment, now) {
  return moment > now ? `in ${duration(moment - now)}` : ago(moment, now);
}

export function clockTime(moment) {
  return moment === null ? UNKNOWN : CLOCK.format(new Date(moment * 1000));
}

export function dateTime(moment) {
  return moment === null ? UNKNOWN : DATE.format(new Date(moment * 1000));
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number of bytes in its largest unit: `12 MiB`. */
export function bytes(value) {
  const step = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), SIZES.length - 1);
  const scaled = value / 1024 ** step;
  return `${scaled >= 10 || step === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${SIZES[step]}`;
}
