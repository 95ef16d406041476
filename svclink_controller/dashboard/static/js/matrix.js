// The matrix of Services and clusters. Only the part that is in view is in the document.

import { CellContent, LocalContent, cellWords, localWords } from "./cells.js";
import { cellOf } from "./facts.js";
import { Component, createRef, html } from "./html.js";
import { Shape, Untrusted, toneOf } from "./parts.js";
import { serviceAddress } from "./router.js";
import { visible } from "./text.js";
import { moved, rangeOf } from "./window.js";

const ROW = 32;
const MORE = 6;
// The columns before those of the clusters: the name, and the endpoints of the main cluster.
const FIXED = 2;

export class Matrix extends Component {
  constructor() {
    super();
    this.box = createRef();
    this.state = { top: 0, left: 0, width: 1200, height: 600, row: 0, column: 0, isFocused: false };
  }

  componentDidMount() {
    this.watched = new ResizeObserver(() => this.measure());
    this.watched.observe(this.box.current);
  }

  componentWillUnmount() {
    this.watched.disconnect();
  }

  /** A scroll position beyond the rows that are left would show nothing. */
  componentDidUpdate() {
    this.measure();
  }

  measure = () => {
    const {
      scrollTop: top,
      scrollLeft: left,
      clientWidth: width,
      clientHeight: height,
    } = this.box.current;
    const { state } = this;
    if (
      state.top !== top ||
      state.left !== left ||
      state.width !== width ||
      state.height !== height
    ) {
      this.setState({ top, left, width, height });
    }
  };

  press = (event) => {
    const { rows, columns } = this.props;
    const page = Math.max(1, Math.floor(this.state.height / ROW) - 2);
    const size = { rows: rows.length, columns: columns.length + FIXED, page };
    const place = moved(event, this.place(), size);
    if (event.key === "Enter") {
      this.props.open(serviceAddress(rows[this.place().row].key));
    } else if (place !== null) {
      event.preventDefault();
      this.setState(place);
      this.reveal(place);
    }
  };

  select = (event) => {
    const cell = event.target.closest("[aria-colindex]");
    const line = cell?.closest("[aria-rowindex]");
    if (line && line.ariaRowIndex > 1) {
      this.setState({ row: line.ariaRowIndex - 2, column: cell.ariaColIndex - 1 });
    }
  };

  /** The selected cell, which is within the matrix however many rows are left. */
  place() {
    const { rows, columns } = this.props;
    return {
      row: Math.min(this.state.row, rows.length - 1),
      column: Math.min(this.state.column, columns.length + FIXED - 1),
    };
  }

  reveal({ row, column }) {
    const box = this.box.current;
    const { name, cell } = this.sizes();
    const top = row * ROW;
    const left = (column - 1) * cell;
    const inner = box.clientHeight - ROW;
    box.scrollTop = Math.min(Math.max(box.scrollTop, top + ROW - inner), top);
    if (column > 0) {
      const fits = box.clientWidth - name;
      box.scrollLeft = Math.min(Math.max(box.scrollLeft, left + cell - fits), left);
    }
  }

  /** Few columns fill the width, many scroll. */
  sizes() {
    const { width } = this.state;
    const count = this.props.columns.length + 1;
    const [least, cell] = width < 620 ? [148, 68] : [280, 84];
    const wide = Math.min(Math.max(cell, Math.floor((width - least) / count)), 140);
    return { name: Math.max(least, width - wide * count), cell: wide };
  }

  render({ facts, rows, columns }, { top, left, width, height, isFocused }) {
    const { name, cell } = this.sizes();
    const down = rangeOf(top, height, ROW, rows.length, MORE);
    const across = rangeOf(left, width - name, cell, columns.length + 1, 2);
    const place = this.place();
    const shared = { facts, columns, across, name, cell, place };
    const total = name + (columns.length + 1) * cell;
    const isHere = place.row >= down.first && place.row < down.last;
    return html`<div class="panel matrix-panel">
      <div
        ref=${this.box}
        class="matrix ${isFocused ? "is-focused" : ""}"
        role="grid"
        aria-label="Services by cluster"
        aria-describedby="keys"
        aria-rowcount=${rows.length + 1}
        aria-colcount=${columns.length + FIXED}
        aria-activedescendant=${isHere ? "selected" : undefined}
        tabindex="0"
        style=${{ "--name": `${name}px`, "--cell": `${cell}px`, "--row": `${ROW}px` }}
        onScroll=${this.measure}
        onClick=${this.select}
        onKeyDown=${this.press}
        onFocus=${() => this.setState({ isFocused: true })}
        onBlur=${() => this.setState({ isFocused: false })}
      >
        <${Header} ...${shared} total=${total} />
        <div
          role="rowgroup"
          class="rows"
          style=${{ height: `${rows.length * ROW}px`, width: `${total}px` }}
        >
          ${rows.slice(down.first, down.last).map((row, index) => {
            const at = down.first + index;
            return html`<${Row} key=${row.key} row=${row} at=${at} ...${shared} />`;
          })}
        </div>
      </div>
      <p id="keys" class="hidden-visually">Use the arrow keys to move and Enter to open the Service.</p>
      <${Told} facts=${facts} columns=${columns} row=${rows[place.row]} column=${place.column} />
    </div>`;
  }
}

function Header({ facts, columns, across, cell, total }) {
  return html`<div role="rowgroup" class="head" style=${{ width: `${total}px` }}>
    <div role="row" aria-rowindex="1" class="line">
      <div role="columnheader" aria-colindex="1" class="name">Service</div>
      <div class="gap" role="presentation" style=${{ width: `${across.first * cell}px` }} />
      ${columnsIn(across).map((column) => {
        const cluster = facts.clusters[columns[column - 1]];
        const words = column === 0 ? "main" : visible(cluster);
        const level = column > 0 ? facts.levelName(facts.links.get(cluster)?.level ?? 0) : "ok";
        return html`<div
          key=${column}
          role="columnheader"
          aria-colindex=${column + FIXED}
          class="cell"
          title=${words}
        >
          ${column > 0 && level !== "ok" && html`<${Shape} level=${level} />`}
          <span class="cut"><bdi>${words}</bdi></span>
        </div>`;
      })}
    </div>
  </div>`;
}

function Row({ facts, row, at, columns, across, cell, place }) {
  const level = facts.levelName(row.level);
  const isSelected = (column) => place.row === at && place.column === column;
  return html`<div
    role="row"
    class="line"
    aria-rowindex=${at + 2}
    style=${{ top: `${at * ROW}px` }}
  >
    <div
      role="rowheader"
      aria-colindex="1"
      class="name"
      id=${isSelected(0) ? "selected" : undefined}
    >
      <${Shape} level=${level} />
      <a href=${serviceAddress(row.key)} tabindex="-1" title=${visible(row.key)}>
        <span class="muted"><${Untrusted}>${row.namespace}<//>/</span><${Untrusted}>${row.name}<//>
      </a>
      ${
        row.policy !== null &&
        html`<span class="badge" title="TrafficPolicy ${visible(row.policy)}">
          ${row.tier > 0 ? `tier ${row.tier}` : "policy"}
        </span>`
      }
    </div>
    <div class="gap" role="presentation" style=${{ width: `${across.first * cell}px` }} />
    ${columnsIn(across).map((column) => {
      const id = isSelected(column + 1) ? "selected" : undefined;
      return column === 0
        ? html`<div
            key=${column}
            id=${id}
            role="gridcell"
            aria-colindex=${FIXED}
            class="cell"
            aria-label=${localWords(row)}
          >
            <${LocalContent} local=${row.local} />
          </div>`
        : html`<${Cell}
            key=${column}
            id=${id}
            facts=${facts}
            row=${row}
            column=${columns[column - 1]}
            index=${column + FIXED}
          />`;
    })}
  </div>`;
}

function Cell({ facts, row, column, index, id }) {
  const cell = cellOf(facts, row, column);
  const words = cellWords(facts, row, column);
  const isUsed = cell?.level !== "ok" || cell.active > 0;
  const tone = cell === null ? "unknown" : toneOf(isUsed ? cell.level : "none");
  return html`<div
    id=${id}
    role="gridcell"
    aria-colindex=${index}
    class="cell ${tone}"
    aria-label=${words}
    title=${words}
  >
    <${CellContent} cell=${cell} />
  </div>`;
}

/** The selected cell in words, for those who see the matrix; a screen reader reads the cell. */
function Told({ facts, columns, row, column }) {
  const cluster = column < FIXED ? "main" : facts.clusters[columns[column - FIXED]];
  const words = column < FIXED ? localWords(row) : cellWords(facts, row, columns[column - FIXED]);
  return html`<footer class="told" aria-hidden="true">
    <strong><${Untrusted}>${row.key}<//></strong>
    <span class="muted"><${Untrusted}>${cluster}<//></span>
    <span><bdi>${words}</bdi></span>
  </footer>`;
}

function columnsIn({ first, last }) {
  return Array.from({ length: last - first }, (_, index) => first + index);
}
