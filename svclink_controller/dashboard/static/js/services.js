// Services by clusters: the filters, and the matrix below them.

import { choices, selected } from "./filters.js";
import { html, Component } from "./html.js";
import { Matrix } from "./matrix.js";
import { PrintedMatrix } from "./printed_matrix.js";
import { LEVEL_WORDS, Shape } from "./parts.js";
import { counted, number, visible } from "./text.js";

const LEGEND = Object.entries({
  ok: "mirrored (number of active endpoints)",
  waiting: LEVEL_WORDS.waiting,
  warning: LEVEL_WORDS.warning,
  error: LEVEL_WORDS.error,
  skipped: LEVEL_WORDS.skipped,
  none: LEVEL_WORDS.none,
});

export class Services extends Component {
  /** The page is drawn every second because ages grow. There are none here. */
  shouldComponentUpdate({ page }) {
    const before = this.drawn ?? [];
    this.drawn = [page.facts, page.facts.revision, page.route, page.isPrinting];
    return this.drawn.some((each, index) => each !== before[index]);
  }

  render({ page, actions }) {
    const { facts } = page;
    const { filters } = page.route;
    const rows = selected(facts, filters);
    const columns = columnsOf(facts, filters);
    return html`
      <div class="heading">
        <h1>Services</h1>
        <p class="muted" role="status">${shown(rows.length, facts)}</p>
      </div>
      <${Filters} facts=${facts} filters=${filters} actions=${actions} />
      ${
        rows.length === 0
          ? html`<p class="empty panel">${nothing(facts)}</p>`
          : page.isPrinting
            ? html`<${PrintedMatrix} facts=${facts} rows=${rows} columns=${columns} />`
            : html`<${Matrix}
                facts=${facts}
                rows=${rows}
                columns=${columns}
                open=${actions.open}
              />`
      }
      <ul class="legend" aria-label="Legend">
        ${LEGEND.map(
          ([level, words]) =>
            html`<li class="tone" key=${level}><${Shape} level=${level} />${words}</li>`,
        )}
        <li class="tone"><b>2 +1 /4</b> 2 active, 1 standby, 4 in total</li>
        ${!page.isPrinting && html`<li class="tone">select a cell to read its reason</li>`}
      </ul>
    `;
  }
}

/** The columns that are shown: each the index of a cluster. */
function columnsOf(facts, { cluster }) {
  const only = facts.clusters.indexOf(cluster);
  return only === -1 ? facts.clusters.map((_, index) => index) : [only];
}

function shown(count, facts) {
  const all = facts.rows.length;
  return count === all ? counted(all, "Service") : `${number(count)} of ${counted(all, "Service")}`;
}

function nothing(facts) {
  return facts.rows.length === 0
    ? "There are no Services in any cluster."
    : "No Service matches the filters.";
}

function Filters({ facts, filters, actions }) {
  const { namespaces, reasons } = choices(facts);
  const set = (name) => (event) => actions.filter({ [name]: event.target.value });
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <label class="search">
      <span class="hidden-visually">Search Services</span>
      <input
        type="search"
        placeholder="Search Services"
        value=${filters.q ?? ""}
        onInput=${set("q")}
        aria-keyshortcuts="/"
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
    <${Choice}
      name="Show"
      value=${filters.show}
      change=${set("show")}
      options=${[
        ["", "All Services"],
        ["trouble", "With problems"],
      ]}
    />
    <${Choice}
      name="Namespace"
      value=${filters.namespace}
      change=${set("namespace")}
      options=${[["", "All namespaces"], ...counts(namespaces, filters.namespace)]}
    />
    <${Choice}
      name="Reason"
      value=${filters.reason}
      change=${set("reason")}
      options=${[["", "All reasons"], ...counts(reasons, filters.reason)]}
    />
    <${Choice}
      name="Cluster"
      value=${filters.cluster}
      change=${set("cluster")}
      options=${[["", "All clusters"], ...facts.clusters.map((each) => [each, visible(each)])]}
    />
    <${Choice}
      name="Policy"
      value=${filters.policy}
      change=${set("policy")}
      options=${[
        ["", "With or without a policy"],
        ["any", "With a TrafficPolicy"],
        ["failover", "Failed over"],
        ["none", "Without a TrafficPolicy"],
      ]}
    />
    <${Choice}
      name="Order"
      value=${filters.order}
      change=${set("order")}
      options=${[
        ["", "Problems first"],
        ["name", "By name"],
      ]}
    />
  </form>`;
}

/** The chosen value stays among them if no Service has it any more: it can be taken back. */
function counts(choice, chosen) {
  const isLeft = !chosen || choice.some(([value]) => value === chosen);
  const all = isLeft ? choice : [...choice, [chosen, 0]];
  return all.map(([value, count]) => [value, `${visible(value)} (${number(count)})`]);
}

function Choice({ name, value = "", change, options }) {
  return html`<select aria-label=${name} class=${value ? "is-set" : ""} onChange=${change}>
    ${options.map(
      ([each, words]) =>
        html`<option key=${each} value=${each} selected=${each === value}>${words}</option>`,
    )}
  </select>`;
}
