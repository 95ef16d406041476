// What happened since the dashboard was started, newest first, and the Events of svclink.

import { moment } from "./facts.js";
import { html } from "./html.js";
import { Shape, Untrusted } from "./parts.js";
import { serviceAddress, viewAddress } from "./router.js";
import { clockTime, dateTime, number } from "./text.js";

const MOST_SHOWN = 300;

const KINDS = [
  ["", "Everything"],
  ["link", "Links"],
  ["service", "Services"],
  ["endpoints", "Endpoints"],
  ["traffic", "Traffic"],
  ["event", "Events"],
];

export function History({ page, actions }) {
  const { facts } = page;
  const { filters } = page.route;
  const entries = entriesOf(facts).filter((each) => isSelected(facts, each, filters));
  return html`
    <div class="heading">
      <h1>Activity</h1>
      <p class="muted">since ${dateTime(moment(facts.started))}, when the dashboard started</p>
    </div>
    <${EventsNotice} facts=${facts} />
    <${Filters} filters=${filters} actions=${actions} kinds=${kindsOf(facts)} />
    ${
      entries.length === 0
        ? html`<p class="empty panel">${nothing(filters)}</p>`
        : html`<ol class="entries panel">
            ${entries
              .slice(0, MOST_SHOWN)
              .map((entry) => html`<${Entry} key=${entry.id} entry=${entry} facts=${facts} />`)}
          </ol>`
    }
    ${
      entries.length > MOST_SHOWN &&
      html`<p class="empty">and ${older(entries.length - MOST_SHOWN)}</p>`
    }
  `;
}

/** Entries are changes and Events. */
function older(count) {
  return `${number(count)} older ${count === 1 ? "entry" : "entries"}`;
}

/** Why Events are missing, or may be out of date. Files have none. */
function EventsNotice({ facts }) {
  if (facts.eventsProblem) {
    const missing = facts.events === null ? "Events are missing" : "Events may be out of date";
    return html`<p class="notice">${missing}: <${Untrusted}>${facts.eventsProblem}<//></p>`;
  }
  return facts.events === null && !isFiles(facts)
    ? html`<p class="notice">Events have not been read yet.</p>`
    : null;
}

function kindsOf(facts) {
  return isFiles(facts) ? KINDS.filter(([kind]) => kind !== "event") : KINDS;
}

function isFiles({ source }) {
  return source.kind === "files";
}

function nothing({ kind, show, q }) {
  return kind || show || q ? "Nothing matches the filters." : "Nothing has changed yet.";
}

/** Changes and Events in one list, newest first. */
function entriesOf(facts) {
  const events = [...(facts.events?.values() ?? [])].map(entryOf);
  return [...facts.happened, ...events].sort((one, other) => (one.at < other.at ? 1 : -1));
}

/** An Event of Kubernetes, as an entry of the list. */
function entryOf({ uid, at, type, reason, message, object, count }) {
  const [kind, ...name] = object.split("/");
  return {
    id: uid,
    at,
    kind: "event",
    isWarning: type === "Warning",
    cluster: kind === "ClusterLink" ? name.join("/") : null,
    service: null,
    text: `${reason}: ${message}`,
    about: kind === "ClusterLink" ? "" : object,
    count,
  };
}

function isSelected(facts, entry, { kind, show, q = "" }) {
  const words = `${entry.service ?? ""} ${entry.cluster ?? ""} ${entry.about ?? ""} ${entry.text}`;
  return (
    (!kind || entry.kind === kind) &&
    (show !== "trouble" || (entry.isWarning ?? facts.isTrouble(entry.level))) &&
    words.toLowerCase().includes(q.toLowerCase())
  );
}

function Filters({ filters, actions, kinds }) {
  const { kind = "", show = "", q = "" } = filters;
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <label class="search">
      <span class="hidden-visually">Search activity</span>
      <input
        type="search"
        placeholder="Search"
        value=${q}
        onInput=${(event) => actions.filter({ q: event.target.value })}
        aria-keyshortcuts="/"
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
    <div class="chips" role="group" aria-label="Kind">
      ${kinds.map(
        ([each, words]) =>
          html`<button
            type="button"
            key=${each}
            aria-pressed=${String(kind === each)}
            onClick=${() => actions.filter({ kind: each })}
          >
            ${words}
          </button>`,
      )}
    </div>
    <div class="chips">
      <button
        type="button"
        aria-pressed=${String(show === "trouble")}
        onClick=${() => actions.filter({ show: show === "trouble" ? "" : "trouble" })}
      >
        Problems only
      </button>
    </div>
  </form>`;
}

/** One line of the list. On the page of a Service, its name would be noise. */
export function Entry({ entry, facts, isShort = false }) {
  const level = entry.isWarning === undefined ? facts.levelName(entry.level) : eventLevel(entry);
  return html`<li class="entry">
    <time datetime=${entry.at} title=${dateTime(moment(entry.at))}
      >${clockTime(moment(entry.at))}</time
    >
    <${Shape} level=${level} />
    <span class="what">
      ${
        entry.service !== null &&
        !isShort &&
        html`<a href=${serviceAddress(entry.service)}><${Untrusted}>${entry.service}<//></a> `
      }
      ${
        entry.cluster !== null &&
        html`<a class="badge" href=${viewAddress("services", { cluster: entry.cluster })}
          ><${Untrusted}>${entry.cluster}<//></a
        > `
      }
      ${entry.about && html`<span class="mono"><${Untrusted}>${entry.about}<//></span> `}
      <${Untrusted}>${entry.text}<//>
      ${entry.count > 1 && html`<span class="muted"> (${entry.count} times)</span>`}
    </span>
    ${entry.kind === "event" && html`<span class="muted kind">Event</span>`}
  </li>`;
}

function eventLevel({ isWarning }) {
  return isWarning ? "warning" : "none";
}
