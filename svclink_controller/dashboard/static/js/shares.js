// Who gets the new connections of a Service: wanted and reachable shares as bars.

import { html } from "./html.js";
import { Bar, Pill, Untrusted } from "./parts.js";
import { percent } from "./text.js";

export function Shares({ service }) {
  const { clusters, policy, traffic } = service;
  const shown = clusters.filter(
    (each) => each.total > 0 || usesOf(traffic, each.cluster).length > 0,
  );
  return html`<section class="panel" aria-labelledby="shares">
    <header>
      <h2 id="shares">Traffic</h2>
      <span class="muted"><${Rule} ...${service} /></span>
    </header>
    <div class="body">
      ${
        shown.length === 0
          ? html`<p class="muted">There are no endpoints in any cluster.</p>`
          : html`<div
              class="scrolls"
              tabindex="0"
              role="group"
              aria-label="Shares of new connections"
            >
              <${Table} clusters=${shown} traffic=${traffic} />
            </div>`
      }
      ${policy !== null && html`<${Conditions} conditions=${policy.conditions} />`}
    </div>
  </section>`;
}

function Rule({ policy, ruleWithoutPolicy }) {
  if (policy !== null) {
    const { minReady, recoverySeconds } = policy;
    const endpoints = `${minReady} ready endpoint${minReady === 1 ? "" : "s"}`;
    const rule = `fails over below ${endpoints}, fails back after ${recoverySeconds} s`;
    return html`TrafficPolicy <${Untrusted}>${policy.name}<//>: ${rule}`;
  }
  return html`no TrafficPolicy: <${Untrusted}>${ruleWithoutPolicy}<//>`;
}

function usesOf(traffic, cluster) {
  return traffic === null ? [] : traffic.clusters.filter((each) => each.cluster === cluster);
}

/** The shares. Where nothing is asked for, tiers and wanted shares would say nothing. */
function Table({ clusters, traffic }) {
  return html`<table class="shares">
    <thead>
      <tr>
        <th>Cluster</th>
        ${traffic !== null && html`<th class="number">Tier</th>`}
        <th class="number">Active</th>
        <th class="number">Share</th>
        <th><span class="hidden-visually">Share as a bar</span></th>
        ${
          traffic !== null &&
          html`<th class="number">Wanted</th>
            <th>Why</th>`
        }
      </tr>
    </thead>
    <tbody>
      ${clusters.map(
        (each) => html`<${Row} key=${each.cluster ?? ""} cluster=${each} traffic=${traffic} />`,
      )}
    </tbody>
  </table>`;
}

function Row({ cluster, traffic }) {
  const uses = usesOf(traffic, cluster.cluster);
  const wanted = uses[0]?.wantedShare ?? null;
  const share = cluster.share === null ? null : Math.round(cluster.share);
  return html`<tr>
    <th scope="row"><${Untrusted}>${cluster.cluster ?? "main"}<//></th>
    ${traffic !== null && html`<td class="number">${uses[0]?.tier ?? 0}</td>`}
    <td class="number">
      ${cluster.active}<span class="muted"> of ${cluster.active + cluster.standby} ready</span>
    </td>
    <td class="number"><strong>${percent(share)}</strong></td>
    <td class="wide">
      <${Bar}
        parts=${[["active", cluster.share ?? 0]]}
        total=${100}
        mark=${wanted}
        className="share"
      />
    </td>
    ${traffic !== null && html`<${Asked} wanted=${wanted} uses=${uses} />`}
  </tr>`;
}

/** What the policy asks for. The IP families of a cluster may have reasons of their own. */
function Asked({ wanted, uses }) {
  const why = new Set(uses.map((each) => each.message).filter(Boolean));
  return html`<td class="number">
      ${wanted === null ? html`<span class="muted">–</span>` : percent(wanted)}
    </td>
    <td class="muted why"><${Untrusted}>${[...why].join("; ")}<//></td>`;
}

/** The reason of most healthy conditions is their type. */
function conditionName({ type, reason }) {
  return type === reason ? type : `${type}: ${reason}`;
}

function Conditions({ conditions }) {
  return html`<ul class="conditions">
    ${conditions.map(
      (each) =>
        html`<li key=${each.type}>
          <${Pill} level=${each.healthy ? "ok" : "warning"}
            ><${Untrusted}>${conditionName(each)}<//><//
          >
          <span class="muted"><${Untrusted}>${each.message}<//></span>
        </li>`,
    )}
  </ul>`;
}
