// Which Services are shown, and in what order. The server decided their levels and reasons.

/**
 * The rows that the filters select.
 *
 * Filters: `q` (part of the name), `show` (`trouble`, or all), `namespace`, `reason` (a code),
 * `policy` (`any`, `failover`, `none`), `cluster` (only what it says counts) and `order` (`name`,
 * or trouble first).
 */
export function selected(facts, filters) {
  const column = facts.clusters.indexOf(filters.cluster);
  const words = (filters.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const reason = facts.reasons.findIndex((each) => each.code === filters.reason);
  const rows = facts.rows.filter(
    (row) =>
      words.every((word) => row.key.toLowerCase().includes(word)) &&
      (!filters.namespace || row.namespace === filters.namespace) &&
      hasPolicy(row, filters.policy) &&
      (column === -1 || row.cells[column]?.[0] > 0) &&
      (filters.show !== "trouble" || facts.isTrouble(levelOf(row, column))) &&
      (!filters.reason || reasonsOf(row, facts.clusters, column).has(reason)),
  );
  // The sort is stable: rows of one level stay sorted by name.
  return filters.order === "name"
    ? rows
    : rows.sort((one, other) => levelOf(other, column) - levelOf(one, column));
}

/** What the filters can be set to, with the number of Services for each. */
export function choices(facts) {
  const namespaces = new Map();
  const reasons = new Map();
  for (const row of facts.rows) {
    count(namespaces, row.namespace);
    for (const reason of reasonsOf(row, facts.clusters, -1)) {
      count(reasons, facts.reasons[reason].code);
    }
  }
  return { namespaces: sorted(namespaces), reasons: sorted(reasons) };
}

function levelOf(row, column) {
  return column === -1 ? row.level : (row.cells[column]?.[0] ?? 0);
}

/** Every reason that a row gives, or one cluster of it. Where there is nothing, there is none. */
function reasonsOf(row, clusters, column) {
  const cells = column === -1 ? row.cells : [row.cells[column]];
  const found = cells.filter((cell) => cell?.[0] > 0).map((cell) => cell[2]);
  const findings = row.findings
    .filter(([cluster]) => column === -1 || cluster === clusters[column])
    .map(([, reason]) => reason);
  return new Set([...found, ...findings]);
}

function hasPolicy(row, asked) {
  switch (asked) {
    case "any":
      return row.policy !== null;
    case "none":
      return row.policy === null;
    case "failover":
      return row.tier > 0;
    default:
      return true;
  }
}

function count(counts, key) {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sorted(counts) {
  return [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
}
