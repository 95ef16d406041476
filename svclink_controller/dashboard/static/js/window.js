// Which rows and columns of a large matrix are in view, and where the arrow keys lead.

/** The indexes `first` to `last` (not included) in view, and some more on both sides. */
export function rangeOf(offset, extent, size, count, more) {
  const last = Math.min(count, Math.ceil((offset + Math.max(extent, 0)) / size) + more);
  const first = Math.max(0, Math.min(Math.floor(offset / size) - more, last));
  return { first, last };
}

/** The place that a key leads to, as in any grid; null if it leads nowhere. */
export function moved({ key, ctrlKey }, { row, column }, { rows, columns, page }) {
  const end = { row: rows - 1, column: columns - 1 };
  const places = {
    ArrowUp: { row: row - 1, column },
    ArrowDown: { row: row + 1, column },
    ArrowLeft: { row, column: column - 1 },
    ArrowRight: { row, column: column + 1 },
    PageUp: { row: row - page, column },
    PageDown: { row: row + page, column },
    Home: { row: ctrlKey ? 0 : row, column: 0 },
    End: { row: ctrlKey ? end.row : row, column: end.column },
  };
  const place = places[key];
  return place === undefined
    ? null
    : { row: within(place.row, end.row), column: within(place.column, end.column) };
}

function within(value, most) {
  return Math.max(0, Math.min(value, most));
}
