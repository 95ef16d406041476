// The page: follows the server, keeps what it said, and draws the view of the address.

import { Facts } from "./facts.js";
import { Frame } from "./frame.js";
import { html, render } from "./html.js";
import { parseRoute, viewAddress } from "./router.js";
import { follow, readService } from "./stream.js";
import { applyTheme, isDark, toggleTheme } from "./theme.js";

const READ_PAUSE = 1000;
const UNREACHED = { error: "Cannot reach the dashboard." };

const root = document.getElementById("app");

const page = {
  facts: null,
  connection: "connecting",
  route: parseRoute(location.hash),
  // What the server said about the Service that is open: null until then.
  service: null,
  isPrinting: false,
  isDark: false,
};

const actions = {
  toggleTheme() {
    toggleTheme();
    draw();
  },
  filter(changes) {
    const filters = { ...page.route.filters, ...changes };
    history.replaceState(null, "", viewAddress(page.route.view, filters));
    page.route = parseRoute(location.hash);
    draw();
  },
  open(address) {
    location.hash = address;
  },
};

function draw() {
  page.isDark = isDark();
  render(html`<${Frame} page=${page} actions=${actions} />`, root);
}

let isAwaited = false;

/** Draw before the next frame, however many changes there are until then. */
function drawSoon() {
  if (!isAwaited) {
    isAwaited = true;
    requestAnimationFrame(() => {
      isAwaited = false;
      draw();
    });
  }
}

let lastRead = 0;
let nextRead = null;

/** Read the open Service again, but not for each of many changes. */
function refreshSoon() {
  nextRead ??= setTimeout(
    () => {
      nextRead = null;
      refresh();
    },
    Math.max(lastRead + READ_PAUSE - Date.now(), 0),
  );
}

async function refresh() {
  const key = page.route.service;
  if (key === null || document.hidden) {
    return;
  }
  lastRead = Date.now();
  const found = await readService(key);
  // What was read before stays: a notice says that the page may be out of date.
  if (page.route.service === key && (found !== null || page.service === null)) {
    page.service = found ?? UNREACHED;
    drawSoon();
  }
}

follow({
  state(state) {
    if (page.connection !== state) {
      page.connection = state;
      drawSoon();
    }
  },
  snapshot(snapshot) {
    page.facts = new Facts(snapshot);
    drawSoon();
    refresh();
  },
  delta(delta) {
    const wasLoading = page.facts.state === "loading";
    const touched = page.facts.apply(delta);
    drawSoon();
    // While it was loading, the server did not tell about single Services.
    if (touched.has(page.route.service) || (wasLoading && page.facts.state !== "loading")) {
      refreshSoon();
    }
  },
});

addEventListener("hashchange", () => {
  const before = page.route;
  page.route = parseRoute(location.hash);
  if (before.view !== page.route.view || before.service !== page.route.service) {
    page.service = null;
    draw();
    document.getElementById("main").focus({ preventScroll: true });
    scrollTo(0, 0);
    refresh();
  } else {
    draw();
  }
});

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea") !== null;
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = document.querySelector("input[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }
});

for (const [name, isPrinting] of [
  ["beforeprint", true],
  ["afterprint", false],
]) {
  addEventListener(name, () => {
    page.isPrinting = isPrinting;
    draw();
  });
}

// Ages grow although nothing happens, and the status of a policy changes without its Service.
setInterval(drawSoon, 1000);
setInterval(refresh, 10_000);
applyTheme();
draw();
