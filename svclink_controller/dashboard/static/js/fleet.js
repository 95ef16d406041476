// The fleet: how many endpoints flow from each cluster, and a card for each link.

import { moment } from "./facts.js";
import { Flow } from "./flow.js";
import { html } from "./html.js";
import { EndpointBar, Bar, Pill, Shape, Untrusted, endpointWords } from "./parts.js";
import { viewAddress } from "./router.js";
import { ago, bytes, counted, dateTime, duration, number, until } from "./text.js";

export function Fleet({ page }) {
  const { facts } = page;
  const links = facts.allLinks;
  return html`
    <div class="heading">
      <h1>Fleet</h1>
      <p class="muted">${summary(facts, links)}</p>
    </div>
    ${
      links.length === 0
        ? html`<p class="empty panel">There are no ClusterLinks, so nothing is mirrored.</p>`
        : html`<${Flow} facts=${facts} links=${links} />
            <ul class="cards">
              ${links.map(
                (link) =>
                  html`<${Card}
                    key=${link.name}
                    link=${link}
                    now=${facts.time}
                    levels=${facts.levels}
                  />`,
              )}
            </ul>`
    }
  `;
}

function summary(facts, links) {
  const phases = Map.groupBy(links, (link) => link.phase);
  const counts = [...phases].map(([phase, each]) => `${each.length} ${phase}`).join(", ");
  const mirrored = links.reduce((sum, link) => sum + link.endpoints.total, 0);
  return [
    `${counted(links.length, "linked cluster")}${counts && ` (${counts})`}`,
    `${counted(facts.main.services, "Service")} in the main cluster`,
    `${counted(mirrored, "mirrored endpoint")}`,
  ].join(" · ");
}

function Card({ link, now, levels }) {
  const level = levels[link.level];
  return html`<li class="card panel ${level}">
    <header>
      <h2><${Untrusted}>${link.name}<//></h2>
      <${Tags} link=${link} />
      <${Pill} level=${level}><${Untrusted}>${link.phase}<//><//>
    </header>
    <div class="body">
      <${Why} link=${link} />
      <${Conditions} link=${link} now=${now} />
      <dl class="facts">
        <dt>Endpoints</dt>
        <dd>
          ${endpointWords(link.endpoints)}
          <${EndpointBar} counts=${link.endpoints} />
        </dd>
        <dt>Services</dt>
        <dd>
          <a href=${viewAddress("services", { cluster: link.name })}>
            ${number(link.services)} mirrored<span class="hidden-visually">
              ${" "}from <${Untrusted}>${link.name}<//></span
            >
          </a>
          <span class="muted"> in ${counted(link.slices, "EndpointSlice")}</span>
        </dd>
        <dt>Version</dt>
        <dd><${Untrusted}>${link.seen.version ?? link.version ?? "unknown"}<//></dd>
        <dt>Last event</dt>
        <dd>${link.seen.lastEvent ? ago(moment(link.seen.lastEvent), now) : "none yet"}</dd>
        <${Memory} seen=${link.seen} />
        <dt>Credentials</dt>
        <dd><${Expiry} link=${link} now=${now} /></dd>
        <dt>If unreachable</dt>
        <dd>${unreachable(link.unreachable)}</dd>
      </dl>
    </div>
  </li>`;
}

function Tags({ link }) {
  const tags = [
    !link.enabled && link.phase !== "Disabled" && "disabled",
    link.drained && "drained",
    !link.selected && "another controller's link",
  ];
  return tags.filter(Boolean).map((tag) => html`<span class="badge" key=${tag}>${tag}</span>`);
}

/** Why the link is in trouble: what the controller wrote, and what the dashboard sees itself. */
function Why({ link }) {
  const { seen } = link;
  return html`
    ${link.reason === null && html`<p class="why">No controller has written the status of this link yet.</p>`}
    ${
      link.phase !== "Ready" &&
      link.message &&
      html`<p class="why">
        ${
          link.reason &&
          html`<strong><${Untrusted}>${link.reason}<//></strong
            >${": "}`
        }
        <${Untrusted}>${link.message}<//>
      </p>`
    }
    ${
      seen.reason &&
      html`<p class="why">
        <strong>Cannot be read from this machine</strong>${" ("}<${Untrusted}>${seen.reason}<//>):${" "}
        <${Untrusted}>${seen.message}<//>
      </p>`
    }
    ${
      link.stillNeededBy > 0 &&
      html`<p class="why">Still used by ${counted(link.stillNeededBy, "Service")}.</p>`
    }
  `;
}

/** The memory that the cluster takes here. Files have no budget. */
function Memory({ seen }) {
  const { memory, memoryBudget } = seen;
  return memoryBudget === 0
    ? null
    : html`<dt>Memory</dt>
        <dd>
          ${bytes(memory)} <span class="muted">of ${bytes(memoryBudget)}</span>
          <${Bar} parts=${[["used", memory]]} total=${memoryBudget} className="thin" />
        </dd>`;
}

function Expiry({ link, now }) {
  const end = moment(link.credentialsExpire);
  if (end === null) {
    return html`<span class="muted">${link.credentialsExpire ? "unknown" : "no expiry date"}</span>`;
  }
  return html`<time datetime=${link.credentialsExpire} title=${dateTime(end)}>
    ${end > now ? `expire ${until(end, now)}` : `expired ${ago(end, now)}`}
  </time>`;
}

function unreachable({ action, afterSeconds, force }) {
  if (action === "Keep") {
    return "Keep";
  }
  return `${action} after ${duration(afterSeconds)}${force ? ", forced" : ""}`;
}

/** The conditions that are not healthy; all others need no attention. */
function Conditions({ link, now }) {
  const unhealthy = link.conditions.filter((each) => !each.healthy && each.type !== "Ready");
  return unhealthy.length === 0
    ? null
    : html`<ul class="conditions">
        ${unhealthy.map(
          (each) =>
            html`<li key=${each.type}>
              <${Shape} level="warning" />
              <span>
                <strong><${Untrusted}>${each.reason}<//></strong
                >${": "}
                <${Untrusted}>${each.message}<//>
                ${each.since && html`<span class="muted"> (${ago(moment(each.since), now)})</span>`}
              </span>
            </li>`,
        )}
      </ul>`;
}
