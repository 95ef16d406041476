// The connection to the server: events as they come, and one Service on request.

import { servicePath } from "./router.js";

const SILENCE = 40_000;
const RETRY = 2_000;
const TOKEN = "svclink-token";

/** The token of the address, which then leaves the address bar and the browser's history. */
function takeToken() {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  if (given !== null) {
    sessionStorage.setItem(TOKEN, given);
    address.searchParams.delete("token");
    history.replaceState(null, "", address);
  }
  return sessionStorage.getItem(TOKEN) ?? "";
}

const token = takeToken();
const headers = { Authorization: `Bearer ${token}` };

/**
 * Follow the events of the server, for as long as the page is open.
 *
 * `listener` has a method for each of `snapshot`, `delta` and `state`. States: `live`, `lost` (it
 * reconnects) and `refused` (the token is wrong).
 */
export function follow(listener) {
  let source = null;
  let silence = null;

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(reconnect, SILENCE);
  }

  function connect() {
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

  async function reconnect() {
    clearTimeout(silence);
    source.close();
    listener.state(await whyNot());
    setTimeout(connect, RETRY);
  }

  connect();
}

/** Why there are no events: an EventSource does not tell the status of an answer. */
async function whyNot() {
  const given = new AbortController();
  try {
    const response = await fetch("/api/events", { headers, signal: given.signal });
    return response.status === 401 ? "refused" : "lost";
  } catch {
    return "lost";
  } finally {
    given.abort();
  }
}

/** Everything about one Service, or `{error}` with one sentence. */
export async function readService(key) {
  try {
    const response = await fetch(`/api/services/${servicePath(key)}`, { headers });
    return await response.json();
  } catch {
    return { error: "The dashboard does not answer." };
  }
}
