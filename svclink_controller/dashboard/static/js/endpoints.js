// The endpoints of one Service in one cluster: counted by zone, and each with its conditions.

import { Component, html } from "./html.js";
import { EndpointBar, Shape, Untrusted, endpointWords } from "./parts.js";
import { counted } from "./text.js";

const OPEN = 8;

const USES = {
  active: { level: "ok", word: "active" },
  standby: { level: "skipped", word: "standby" },
  notReady: { level: "warning", word: "not ready" },
};

export class Endpoints extends Component {
  constructor({ cluster }) {
    super();
    this.state = { isOpen: cluster.total <= OPEN };
  }

  render({ cluster }, { isOpen }) {
    if (cluster.total === 0) {
      return null;
    }
    const toggle = (event) => this.setState({ isOpen: event.currentTarget.open });
    return html`<details class="endpoints" open=${isOpen} onToggle=${toggle}>
      <summary>
        <span>${counted(cluster.total, "endpoint")}</span>
        <span class="muted">${endpointWords(cluster)}</span>
        <${EndpointBar} counts=${cluster} />
        ${cluster.zones.length > 1 && html`<${Zones} zones=${cluster.zones} />`}
      </summary>
      ${isOpen && html`<${Table} cluster=${cluster} />`}
    </details>`;
  }
}

function Zones({ zones }) {
  return html`<ul class="zones" aria-label="By zone">
    ${zones.map(
      (each) =>
        html`<li key=${each.zone ?? ""}>
          <${Untrusted}>${each.zone ?? "no zone"}<//>
          <span class="muted"> ${endpointWords(each)}</span>
        </li>`,
    )}
  </ul>`;
}

function Table({ cluster }) {
  return html`<div
    class="scrolls"
    tabindex="0"
    role="group"
    aria-label="Endpoints of ${cluster.cluster ?? "main"}"
  >
    <table>
      <thead>
        <tr>
          <th>Address</th>
          <th>Use</th>
          <th>Ready</th>
          <th>Serving</th>
          <th>Terminating</th>
          <th>Zone</th>
          <th>Ports</th>
          <th>EndpointSlice</th>
        </tr>
      </thead>
      <tbody>
        ${cluster.endpoints.map(
          (each) => html`<${Endpoint} key=${`${each.slice} ${each.address}`} endpoint=${each} />`,
        )}
      </tbody>
    </table>
    ${
      cluster.omitted > 0 &&
      html`<p class="muted">and ${counted(cluster.omitted, "more endpoint")}</p>`
    }
  </div>`;
}

function Endpoint({ endpoint }) {
  const { level, word } = USES[endpoint.use];
  return html`<tr>
    <td class="mono"><${Untrusted}>${endpoint.address}<//></td>
    <td>
      <span class="tone"><${Shape} level=${level} />${word}</span>
    </td>
    <td><${Condition} value=${endpoint.ready} /></td>
    <td><${Condition} value=${endpoint.serving} /></td>
    <td><${Condition} value=${endpoint.terminating} /></td>
    <td>
      ${
        endpoint.zone === null
          ? html`<span class="muted">–</span>`
          : html`<${Untrusted}>${endpoint.zone}<//>`
      }
    </td>
    <td class="mono"><${Untrusted}>${endpoint.ports.join(", ")}<//></td>
    <td class="mono muted"><${Untrusted}>${endpoint.slice}<//></td>
  </tr>`;
}

function Condition({ value }) {
  return value ? "true" : html`<span class="muted">false</span>`;
}
