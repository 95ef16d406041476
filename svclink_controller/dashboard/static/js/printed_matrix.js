// The whole matrix as a table, because paper does not scroll.

import { CellContent, LocalContent } from "./cells.js";
import { cellOf } from "./facts.js";
import { html } from "./html.js";
import { Shape, Untrusted } from "./parts.js";

export function PrintedMatrix({ facts, rows, columns }) {
  return html`<table class="printed">
    <thead>
      <tr>
        <th>Service</th>
        <th>main</th>
        ${columns.map(
          (column) => html`<th key=${column}><${Untrusted}>${facts.clusters[column]}<//></th>`,
        )}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr key=${row.key}>
            <th><${Shape} level=${facts.levelName(row.level)} /> <${Untrusted}>${row.key}<//></th>
            <td><${LocalContent} local=${row.local} /></td>
            ${columns.map(
              (column) =>
                html`<td key=${column}><${CellContent} cell=${cellOf(facts, row, column)} /></td>`,
            )}
          </tr>`,
      )}
    </tbody>
  </table>`;
}
