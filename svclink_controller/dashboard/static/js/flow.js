// The drawing of the fleet: the main cluster in the middle, and the endpoints that flow into it.

import { flowLayout } from "./flow_layout.js";
import { Component, createRef, html } from "./html.js";
import { Shape, Untrusted, endpointWords, toneOf } from "./parts.js";
import { viewAddress } from "./router.js";
import { counted } from "./text.js";

export class Flow extends Component {
  constructor() {
    super();
    this.box = createRef();
    this.state = { width: 960 };
  }

  componentDidMount() {
    this.watched = new ResizeObserver(([{ contentRect }]) => {
      this.setState({ width: Math.round(contentRect.width) });
    });
    this.watched.observe(this.box.current);
  }

  componentWillUnmount() {
    this.watched.disconnect();
  }

  render({ facts, links }, { width }) {
    const clusters = links.map((link) => ({
      name: link.name,
      level: facts.levelName(link.level),
      active: link.endpoints.active,
      counts: link.endpoints,
      isConnected: link.seen.connection === "Synced",
    }));
    const layout = flowLayout(clusters, width);
    return html`<section
      ref=${this.box}
      class="flow ${layout.isDense ? "dense" : ""}"
      aria-label="Endpoints of each cluster"
      style=${{ height: `${layout.height}px` }}
    >
      <svg width=${width} height=${layout.height} aria-hidden="true">
        ${layout.nodes.map((node) => html`<${Stream} key=${node.cluster.name} node=${node} />`)}
      </svg>
      <${Main} facts=${facts} place=${layout.main} />
      ${layout.nodes.map(
        (node) => html`<${Node} key=${node.cluster.name} node=${node} width=${layout.label} />`,
      )}
    </section>`;
  }
}

/** The active endpoints of one cluster. A change of their number is shown by a short pulse. */
function Stream({ node }) {
  const { level, active, isConnected } = node.cluster;
  const kind = active === 0 ? "nothing" : isConnected ? "connected" : "kept";
  return html`<path
    key=${active}
    class="stream ${kind} ${toneOf(level)}"
    d=${node.path}
    stroke-width=${node.thickness}
  />`;
}

function Main({ facts, place }) {
  const { endpoints, services } = facts.main;
  return html`<div class="hub" style=${box(place)}>
    <span class="muted">main cluster</span>
    <strong><${Untrusted}>${facts.source.kind === "files" ? "main" : facts.source.name}<//></strong>
    <span>${counted(endpoints.total, "local endpoint")}</span>
    <span class="muted">${counted(services, "Service")}</span>
  </div>`;
}

function Node({ node, width }) {
  const { cluster, isRight } = node;
  return html`<a
    class="node ${isRight ? "right" : "left"}"
    style=${box({ ...node, width })}
    href=${viewAddress("services", { cluster: cluster.name })}
  >
    <span class="name"
      ><${Shape} level=${cluster.level} /><span><${Untrusted}>${cluster.name}<//></span></span
    >
    <span class="muted">${endpointWords(cluster.counts)}</span>
  </a>`;
}

function box({ left, top, width, height }) {
  return { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` };
}
