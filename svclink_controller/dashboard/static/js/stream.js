// The connection to the server: events as they come, and one Service on request.

import { servicePath } from "./router.js";

const SILENCE = 40_000;
const RETRY = 2_000;
const REASONS = { 401: "refused", 503: "full" };
const TOKEN = "svclink-token";

/**
 * The token of the address, which then leaves the address bar and the browser's history.
 *
 * All tabs share it, so that a link can be opened in a new one. The next dashboard has another.
 */
function takeToken() {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  try {
    if (given === null) {
      return localStorage.getItem(TOKEN) ?? "";
    }
    localStorage.setItem(TOKEN, given);
  } catch {
    // Without storage it stays in the address, so that the page can be loaded again.
    return given ?? "";
  }
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
  return given;
}

const token = takeToken();
const headers = { Authorization: `Bearer ${token}` };

/**
 * Follow the events of the server, for as long as the page is in view.
 *
 * A browser has few connections to one server, and a tab in the background would keep one of them.
 *
 * `listener` has a method for each of `snapshot`, `delta` and `state`. States: `live`, `lost` (it
 * reconnects), `full` (too many pages are open) and `refused` (the token is wrong).
 */
export function follow(listener) {
  let source = null;
  let timer = null;

  function connect() {
    stop();
    source = new EventSource(`/api/events?token=${encodeURIComponent(token)}`);
    for (const kind of ["snapshot", "delta", "alive"]) {
      source.addEventListener(kind, (event) => {
        heard();
        listener.state("live");
        listener[kind]?.(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", reconnect);
    heard();
  }

  function heard() {
    clearTimeout(timer);
    timer = setTimeout(reconnect, SILENCE);
  }

  function stop() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  async function reconnect() {
    stop();
    const why = await whyNot();
    if (source === null && !document.hidden) {
      listener.state(why);
      timer = setTimeout(connect, RETRY);
    }
  }

  function look() {
    if (document.hidden) {
      stop();
    } else {
      connect();
    }
  }

  document.addEventListener("visibilitychange", look);
  look();
}

/** Why there are no events: an EventSource does not tell the status of an answer. */
async function whyNot() {
  const given = new AbortController();
  try {
    const response = await fetch("/api/events", { headers, signal: given.signal });
    return REASONS[response.status] ?? "lost";
  } catch {
    return "lost";
  } finally {
    given.abort();
  }
}

/** Everything about one Service, or `{error}` with one sentence; null without an answer. */
export async function readService(key) {
  try {
    const response = await fetch(`/api/services/${servicePath(key)}`, { headers });
    return await response.json();
  } catch {
    return null;
  }
}
