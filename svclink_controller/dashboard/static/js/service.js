// One Service: who gets its traffic, its endpoints in each cluster, and what would change.

import { Endpoints } from "./endpoints.js";
import { Entry } from "./history.js";
import { html } from "./html.js";
import { LEVEL_WORDS, Pill, Shape, Untrusted } from "./parts.js";
import { viewAddress } from "./router.js";
import { Shares } from "./shares.js";
import { counted } from "./text.js";

const SHOWN_ENTRIES = 20;

export function Service({ page }) {
  const { facts, route, service } = page;
  const back = html`<a href=${viewAddress("services")}>Services</a>`;
  if (service === null || service.error) {
    return html`<nav class="crumbs" aria-label="Breadcrumb">${back}</nav>
      <div class="heading">
        <h1><${Untrusted}>${route.service}<//></h1>
      </div>
      <p class="empty panel"><${Untrusted}>${service?.error ?? "Loading…"}<//></p>`;
  }
  return html`
    <nav class="crumbs" aria-label="Breadcrumb">${back}</nav>
    <div class="heading">
      <h1><${Untrusted}>${service.service}<//></h1>
      <${Pill} level=${facts.levelName(service.level)}>${LEVEL_WORDS[facts.levelName(service.level)]}<//>
      <p class="muted"><${About} main=${service.main} /></p>
    </div>
    <${Shares} service=${service} />
    <${Changes} changes=${service.changes} />
    <${Clusters} service=${service} />
    <${Happened} service=${service} facts=${facts} />
    <${Commands} commands=${service.commands} />
  `;
}

function About({ main }) {
  if (main === null) {
    return "The main cluster has no Service with this namespace and name.";
  }
  const ports = main.ports.map(
    (port) => `${port.name ? `${port.name} ` : ""}${port.port}/${port.protocol}`,
  );
  const words = [
    main.headless ? "headless" : main.type,
    ports.join(", "),
    main.ipFamilies.join(" and "),
    main.trafficDistribution && `trafficDistribution ${main.trafficDistribution}`,
  ];
  return html`<${Untrusted}>${words.filter(Boolean).join(" · ")}<//>`;
}

/** What a plan would change now. The controller is quick, so this is rarely shown for long. */
function Changes({ changes }) {
  return html`<section class="panel" aria-labelledby="changes">
    <header>
      <h2 id="changes">Planned changes</h2>
      <span class="muted"
        >${changes.length === 0 ? "None. The main cluster is up to date." : ""}</span
      >
    </header>
    ${
      changes.length > 0 &&
      html`<ul class="body lines">
        ${changes.map(
          (each) =>
            html`<li key=${`${each.kind}/${each.name}`}>
              <span class="badge ${each.change}">${each.change}</span>
              <span class="mono"><${Untrusted}>${each.kind} ${each.name}<//></span>
              <span class="muted"><${Untrusted}>${each.message}<//></span>
            </li>`,
        )}
      </ul>`
    }
  </section>`;
}

function Clusters({ service }) {
  return service.clusters.map(
    (each) =>
      html`<section
        class="panel cluster"
        key=${each.cluster ?? ""}
        aria-label=${each.cluster ?? "main"}
      >
        <header>
          <h2><${Untrusted}>${each.cluster ?? "main"}<//></h2>
          <${Pill} level=${each.level}><${Untrusted}>${each.outcome ?? "Local"}<//><//>
          <span class="muted">
            <${Untrusted}>${each.message ?? "endpoints of the main cluster itself"}<//>
          </span>
        </header>
        <${Findings} problem=${each.problem} findings=${findingsOf(service, each.cluster)} />
        <${Endpoints} cluster=${each} />
      </section>`,
  );
}

function findingsOf(service, cluster) {
  return cluster === null ? [] : service.findings.filter((each) => each.cluster === cluster);
}

function Findings({ problem, findings }) {
  if (problem === null && findings.length === 0) {
    return null;
  }
  return html`<ul class="body lines">
    ${
      problem !== null &&
      html`<li>
        <${Shape} level="warning" />
        <span
          ><strong>Cannot be read from this machine</strong>${" ("}<${Untrusted}>${problem.reason}<//>):${" "}
          <${Untrusted}>${problem.message}<//></span
        >
      </li>`
    }
    ${findings.map(
      (each) =>
        html`<li key=${each.reason}>
          <${Shape} level="warning" />
          <span>
            <strong><${Untrusted}>${each.reason}<//></strong
            >: <${Untrusted}>${each.message}<//>
            ${each.details.length > 0 && html`: <${Untrusted}>${each.details.join(", ")}<//>`}
          </span>
        </li>`,
    )}
  </ul>`;
}

function Happened({ service, facts }) {
  const entries = facts.happened.filter((each) => each.service === service.service);
  return html`<section class="panel" aria-labelledby="happened">
    <header>
      <h2 id="happened">Activity</h2>
      <span class="muted"
        >${entries.length === 0 ? "nothing yet" : counted(entries.length, "change")}</span
      >
    </header>
    ${
      entries.length > 0 &&
      html`<ol class="entries">
        ${entries
          .slice(-SHOWN_ENTRIES)
          .reverse()
          .map(
            (entry) =>
              html`<${Entry} key=${entry.id} entry=${entry} facts=${facts} isShort=${true} />`,
          )}
      </ol>`
    }
  </section>`;
}

function Commands({ commands }) {
  return html`<section class="panel" aria-labelledby="commands">
    <header><h2 id="commands">Equivalent commands</h2></header>
    <ul class="body lines">
      ${commands.map(
        (each) =>
          html`<li key=${each}>
            <code><${Untrusted}>${each}<//></code>
          </li>`,
      )}
    </ul>
  </section>`;
}
