// Which view is shown: the part of the address after the `#`, so that links and Back work.

const VIEWS = new Set(["fleet", "services", "history"]);

/** The view that an address names: `{view, service, filters}`. An unknown address is the fleet. */
export function parseRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "fleet", namespace, name] = path.split("/").map(decoded);
  const filters = Object.fromEntries(new URLSearchParams(query));
  if (!VIEWS.has(view)) {
    return { view: "fleet", service: null, filters: {} };
  }
  return { view, service: namespace && name ? `${namespace}/${name}` : null, filters };
}

/** The address of one Service. */
export function serviceAddress(key) {
  return `#/services/${servicePath(key)}`;
}

/** Namespace and name as a path. A hostile cluster may use any character in both. */
export function servicePath(key) {
  const slash = key.indexOf("/");
  return [key.slice(0, slash), key.slice(slash + 1)].map(encodeURIComponent).join("/");
}

/** The address of a view with filters. Filters without a value are left out. */
export function viewAddress(view, filters = {}) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return `#/${view}${query.size ? `?${query}` : ""}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
