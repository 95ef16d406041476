// What one cluster does for one Service: as a cell, and in a sentence.

import { cellOf } from "./facts.js";
import { html } from "./html.js";
import { Shape, endpointWords } from "./parts.js";
import { counted, visible } from "./text.js";

/** Endpoints as `2`, with a standby as `+1`, and all of them as `/4` where some are not ready. */
export function Counts({ active, standby, total }) {
  return html`<b>${active}</b>${
    (standby > 0 || total > active + standby) &&
    html`<small>
        ${standby > 0 && `+${standby}`}${total > active + standby && ` /${total}`}
      </small>`
  }`;
}

/** The content of a cell: a shape if it is not simply mirrored, and the endpoints. */
export function CellContent({ cell }) {
  if (cell === null) {
    return null;
  }
  const isPlain = cell.level === "ok";
  const hasCounts = cell.total > 0 || isPlain;
  return html`${!isPlain && html`<${Shape} level=${cell.level} />`}
  ${hasCounts && html`<${Counts} ...${cell} />`} ${cell.changes > 0 && html`<i class="changes" />`}`;
}

export function LocalContent({ local }) {
  if (local === null) {
    return html`<${Shape} level="none" />`;
  }
  const [ready, total] = local;
  return html`<${Counts} active=${ready} standby=${0} total=${total} />`;
}

/** What a cell says, for a tooltip, a screen reader and the line below the matrix. */
export function cellWords(facts, row, column) {
  const cell = cellOf(facts, row, column);
  if (cell === null) {
    return "not known yet";
  }
  const words = [];
  if (cell.total > 0) {
    words.push(endpointWords({ ...cell, notReady: cell.total - cell.active - cell.standby }));
  }
  words.push(`${cell.outcome}: ${cell.reason.message}`);
  for (const [cluster, reason] of row.findings) {
    if (cluster === facts.clusters[column]) {
      words.push(facts.reasons[reason].message);
    }
  }
  if (cell.changes > 0) {
    words.push(counted(cell.changes, "planned change"));
  }
  return visible(words.join("; "));
}

export function localWords({ local }) {
  if (local === null) {
    return "the main cluster has no Service with this namespace and name";
  }
  const [ready, total] = local;
  return endpointWords({ active: ready, standby: 0, notReady: total - ready });
}
