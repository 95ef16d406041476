// The frame around every view: the bar at the top, notices, and the view of the address.

import { Fleet } from "./fleet.js";
import { History } from "./history.js";
import { html } from "./html.js";
import { Untrusted } from "./parts.js";
import { viewAddress } from "./router.js";
import { Services } from "./services.js";
import { Service } from "./service.js";
import { counted, visible } from "./text.js";

const CONNECTION = {
  connecting: { tone: "", word: "Connecting" },
  live: { tone: "good", word: "Live" },
  lost: { tone: "warn", word: "Not connected" },
  full: { tone: "warn", word: "Not connected" },
  refused: { tone: "warn", word: "Not connected" },
};

const TITLES = { fleet: "Fleet", services: "Services", history: "Activity" };

export function Frame({ page, actions }) {
  document.title = titleOf(page.route);
  return html`
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to content</a>
    <${TopBar} page=${page} actions=${actions} />
    <main id="main" tabindex="-1">
      <${Notices} page=${page} />
      <${View} page=${page} actions=${actions} />
    </main>
    <div class="hidden-visually" role="status">${CONNECTION[page.connection].word}</div>
  `;
}

function titleOf({ view, service }) {
  return `${visible(service ?? TITLES[view])} · svclink`;
}

// The part of the address after the `#` names the view, so this link must not change it.
function skipToMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function TopBar({ page, actions }) {
  const { facts, route, isDark } = page;
  return html`<header class="bar">
    <a class="brand" href=${viewAddress("fleet")}><${Logo} />svclink</a>
    <nav aria-label="Views">
      <ul>
        ${Object.entries(TITLES).map(
          ([view, title]) =>
            html`<li key=${view}>
              <a href=${viewAddress(view)} aria-current=${route.view === view ? "page" : undefined}>
                ${title}<${Trouble} facts=${facts} view=${view} />
              </a>
            </li>`,
        )}
      </ul>
    </nav>
    <div class="source">
      <${Source} page=${page} />
      <button class="quiet" type="button" onClick=${actions.toggleTheme}>
        ${isDark ? "Light" : "Dark"}<span class="hidden-visually"> colors</span>
      </button>
    </div>
  </header>`;
}

function Logo() {
  return html`<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
    <g fill="none" stroke="currentColor" stroke-width="1.5">
      <path d="M3 3.5c4.5 0 4 6.5 9 6.5M3 10h9M3 16.5c4.5 0 4-6.5 9-6.5" />
    </g>
    <g fill="currentColor">
      <circle cx="3" cy="3.5" r="2" />
      <circle cx="3" cy="10" r="2" />
      <circle cx="3" cy="16.5" r="2" />
      <circle cx="14.5" cy="10" r="4" />
    </g>
  </svg>`;
}

/** How many links, or Services, are in trouble. */
function Trouble({ facts, view }) {
  if (facts === null || view === "history") {
    return null;
  }
  const all = view === "fleet" ? facts.allLinks : facts.rows;
  const levels = all.map((each) => each.level).filter((level) => facts.isTrouble(level));
  if (levels.length === 0) {
    return null;
  }
  const tone = facts.levelName(Math.max(...levels)) === "error" ? "bad" : "warn";
  return html`<span class="badge ${tone}">
    ${levels.length}<span class="hidden-visually"> with problems</span>
  </span>`;
}

function Source({ page }) {
  const { facts } = page;
  if (facts !== null && facts.source.kind === "files" && page.connection === "live") {
    return html`<span>Read from files: <${Untrusted}>${facts.source.name}<//></span>`;
  }
  const { tone, word } = CONNECTION[page.connection];
  return html`
    ${facts !== null && html`<span class="cluster"><${Untrusted}>${facts.source.name}<//></span>`}
    <span class="live ${tone}">${word}</span>
  `;
}

function Notices({ page }) {
  const { connection, facts } = page;
  return html`
    ${
      connection === "lost" &&
      html`<p class="notice">
        Lost connection to <code>svclink dashboard</code>${facts !== null && "; this page may be out of date"}.
        If that command is still running, the page will reconnect automatically.
      </p>`
    }
    ${
      connection === "full" &&
      html`<p class="notice">
        Too many dashboard pages are open. Close one of them, and this page will connect
        automatically.
      </p>`
    }
    ${
      connection === "refused" &&
      html`<p class="notice bad">
        This page has no valid token. Open the address that <code>svclink dashboard</code> printed.
      </p>`
    }
    ${facts?.problems.map(
      (each) => html`<p class="notice" key=${each.about}><${Untrusted}>${each.message}<//></p>`,
    )}
  `;
}

function View({ page, actions }) {
  const { facts, route } = page;
  if (facts === null) {
    return page.connection === "refused" ? null : html`<p class="empty">Connecting…</p>`;
  }
  if (facts.state === "loading") {
    return html`<p class="empty">
      Loading the main cluster and ${counted(facts.allLinks.length, "linked cluster")}…
    </p>`;
  }
  if (route.view === "services" && route.service !== null) {
    return html`<${Service} page=${page} key=${route.service} />`;
  }
  const views = { fleet: Fleet, services: Services, history: History };
  return html`<${views[route.view]} page=${page} actions=${actions} />`;
}
