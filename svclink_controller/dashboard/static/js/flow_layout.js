// Where the clusters and their flows are drawn around the main cluster.

const ROW = 46;
const DENSE = { from: 9, row: 22, thickest: 6 };
const LABEL = 176;
const MAIN = { width: 168, height: 96 };
const NARROW = 620;
const THINNEST = 1.5;
const THICKEST = 20;
const BETWEEN = 3;

/**
 * The positions of everything in the drawing, in pixels.
 *
 * The clusters are on both sides of the main cluster, or only left of it on a narrow page. The
 * width of a flow grows with the square root of its active endpoints, so that small ones stay
 * visible.
 */
export function flowLayout(clusters, width) {
  const isNarrow = width < NARROW || clusters.length < 2;
  // Many clusters have one line each.
  const isDense = clusters.length >= DENSE.from * (isNarrow ? 1 : 2);
  const row = isDense ? DENSE.row : ROW;
  const thickest = isDense ? DENSE.thickest : THICKEST;
  const half = isNarrow ? clusters.length : Math.ceil(clusters.length / 2);
  const sides = [clusters.slice(0, half), clusters.slice(half)];
  const most = Math.max(1, ...clusters.map((each) => each.active));
  const flows = sides.map((side) => side.map((each) => thickness(each.active / most, thickest)));
  const stacks = flows.map((side) => side.reduce((sum, each) => sum + each + BETWEEN, 0));
  const mainHeight = Math.max(MAIN.height, ...stacks.map((each) => each + 24));
  const height = Math.max(mainHeight, ...sides.map((side) => side.length * row)) + 8;
  const label = Math.min(LABEL, Math.floor((width - 80) / 2));
  const mainWidth = Math.min(MAIN.width, label);
  const main = {
    left: isNarrow ? width - mainWidth : Math.round((width - mainWidth) / 2),
    top: Math.round((height - mainHeight) / 2),
    width: mainWidth,
    height: mainHeight,
  };
  const nodes = sides.flatMap((side, index) => {
    const place = { isRight: index === 1, row, label, width, height, main, stack: stacks[index] };
    return placed(side, flows[index], place);
  });
  return { height, main, nodes, label, isDense };
}

function thickness(part, thickest) {
  return THINNEST + (thickest - THINNEST) * Math.sqrt(part);
}

function placed(side, flows, { isRight, row, label, width, height, main, stack }) {
  const top = (height - side.length * row) / 2;
  let into = height / 2 - stack / 2;
  return side.map((cluster, index) => {
    const middle = top + index * row + row / 2;
    const entry = into + flows[index] / 2;
    into += flows[index] + BETWEEN;
    const start = isRight ? width - label : label;
    const end = isRight ? main.left + main.width : main.left;
    const bend = (start + end) / 2;
    return {
      cluster,
      isRight,
      left: isRight ? width - label : 0,
      top: middle - row / 2,
      height: row,
      thickness: flows[index],
      path: `M${start},${middle} C${bend},${middle} ${bend},${entry} ${end},${entry}`,
    };
  });
}
