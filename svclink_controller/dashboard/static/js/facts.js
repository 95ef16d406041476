// What the server said last: a snapshot, and the deltas since. Nothing is decided here.

const MOST_HAPPENED = 2000;

/** The moment of an RFC 3339 time, in seconds; null without one, or if it is not a time. */
export function moment(text) {
  const seconds = Date.parse(text ?? "") / 1000;
  return Number.isNaN(seconds) ? null : seconds;
}

export class Facts {
  constructor(snapshot) {
    const { services, links, happened, events, ...rest } = snapshot;
    Object.assign(this, rest);
    this.links = new Map(Object.entries(links));
    this.services = new Map(Object.entries(services).map(([key, row]) => [key, rowOf(key, row)]));
    this.happened = happened;
    this.events = events && new Map(events.map((each) => [each.uid, each]));
    this.clock = moment(snapshot.now) - Date.now() / 1000;
    this._rows = null;
  }

  /** Take in a delta. Returns the Services that it is about. */
  apply({ services = {}, links = {}, happened = [], events = [], touched = [], ...rest }) {
    Object.assign(this, rest);
    this.links = new Map([...this.links, ...Object.entries(links)]);
    for (const [key, row] of Object.entries(services)) {
      this._put(key, row);
    }
    this.happened = [...this.happened, ...happened].slice(-MOST_HAPPENED);
    if (events?.length) {
      this.events = new Map([...(this.events ?? []), ...events.map((each) => [each.uid, each])]);
    }
    return new Set([...Object.keys(services), ...touched]);
  }

  /** The rows, sorted by namespace and name. */
  get rows() {
    this._rows ??= [...this.services.values()].sort(byName);
    return this._rows;
  }

  /** The time on the clock of the server, in seconds. */
  get time() {
    return Date.now() / 1000 + this.clock;
  }

  get allLinks() {
    return [...this.links.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  levelName(level) {
    return this.levels[level];
  }

  isTrouble(level) {
    return level >= this.levels.indexOf("warning");
  }

  _put(key, row) {
    this._rows = null;
    if (row === null) {
      this.services.delete(key);
    } else {
      this.services.set(key, rowOf(key, row));
    }
  }
}

/** A cell as an object: see the comments of the server for what its numbers mean. */
export function cellOf(facts, row, column) {
  const cell = row.cells[column];
  if (!cell) {
    return null;
  }
  const [level, outcome, reason, active, standby, total, changes] = cell;
  return {
    level: facts.levelName(level),
    outcome: facts.outcomes[outcome],
    reason: facts.reasons[reason],
    active,
    standby,
    total,
    changes,
  };
}

function rowOf(key, row) {
  const slash = key.indexOf("/");
  return { ...row, key, namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

function byName(one, other) {
  if (one.namespace !== other.namespace) {
    return one.namespace < other.namespace ? -1 : 1;
  }
  return one.name < other.name ? -1 : 1;
}
