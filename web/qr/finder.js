// Finder patterns: the three squares that any line through their centre crosses as dark, light, dark, light and dark in
// the proportions 1:1:3:1:1 (light for dark in an inverted code).

// Every third line meets the centre of a pattern, which is three modules high.
const LINE_STEP = 3;
// By how many modules two neighbouring runs may be longer or shorter than they should: little along the lines of the
// picture, by which patterns are found; more along diagonals, where blur rounds the corners, and where one is known.
const FINE = 0.65;
export const ROUGH = 2;
// Bounds the work on a picture that is full of patterns.
const MOST_FOUND = 100;
const MOST_CHECKED = 4000;

/** The finder patterns of a bitmap: {x, y, module, inverted, seen}, those met by most lines first. */
export function findFinders(bitmap) {
  const { data, width, height } = bitmap;
  const found = [];
  const edges = new Int32Array(width + 1);
  let checked = 0;
  for (let y = LINE_STEP >> 1; y < height; y += LINE_STEP) {
    const count = edgesOfLine(data, y * width, width, edges);
    for (let i = 0; i + 5 < count; i++) {
      const module = moduleOfRuns(
        edges[i + 1] - edges[i], edges[i + 2] - edges[i + 1], edges[i + 3] - edges[i + 2],
        edges[i + 4] - edges[i + 3], edges[i + 5] - edges[i + 4]);
      if (!module) continue;
      const x = (edges[i + 2] + edges[i + 3]) / 2;
      const known = found.find((other) => isSame(other, x, y + 0.5, module));
      if (known && known.seen > 2) {
        known.seen++;
        continue;
      }
      if (++checked > MOST_CHECKED) return bySeen(found);
      const finder = confirm(bitmap, x, y + 0.5, module);
      if (finder) add(found, finder);
    }
  }
  return bySeen(found);
}

function edgesOfLine(data, start, width, edges) {
  let count = 1;
  edges[0] = 0;
  for (let x = 1; x < width; x++) {
    if (data[start + x] !== data[start + x - 1]) edges[count++] = x;
  }
  edges[count++] = width;
  return count;
}

// The width of a module if five runs have the proportions of a finder pattern, or 0. Blur and a threshold too high or
// too low make all dark runs longer or shorter by the same: the sums of two neighbours do not change.
function moduleOfRuns(a, b, c, d, e, tolerance = FINE) {
  const module = (a + e + 2 * (b + c + d)) / 12;
  if (module < 1 || c < a || c < e || c < b || c < d) return 0;
  const slack = tolerance * module + 0.5;
  const fits = Math.abs(a + b - 2 * module) <= slack && Math.abs(d + e - 2 * module) <= slack
    && Math.abs(b + c - 4 * module) <= 1.5 * slack && Math.abs(c + d - 4 * module) <= 1.5 * slack;
  return fits ? module : 0;
}

/**
 * Measures the finder pattern at a point along a direction (whose longer part is 1, in pixels a step): its module in
 * steps, and the middle of it along that line. Null if what lies there has other proportions.
 */
export function crossSection(bitmap, x, y, dx, dy, expected, tolerance = FINE) {
  const limit = 6 * expected + 3;
  // From the centre of the pixel, so that both ways are measured alike.
  x = Math.floor(x) + 0.5;
  y = Math.floor(y) + 0.5;
  const after = ringEnds(bitmap, x, y, dx, dy, limit);
  const before = after && ringEnds(bitmap, x, y, -dx, -dy, limit);
  if (!before) return null;
  const module = moduleOfRuns(
    before[2] - before[1], before[1] - before[0], before[0] + after[0], after[1] - after[0], after[2] - after[1], tolerance);
  if (!module) return null;
  const offset = (after[0] - before[0] + after[1] - before[1] + after[2] - before[2]) / 6;
  return { module, x: x + offset * dx, y: y + offset * dy };
}

// How far the centre, the ring around it and the outer ring reach in a direction. The border of the picture ends a ring.
function ringEnds({ data, width, height }, x, y, dx, dy, limit) {
  const ends = [0, 0, 0];
  let colour = data[Math.floor(y) * width + Math.floor(x)];
  let ring = 0;
  for (let step = 1; step <= limit; step++) {
    const px = Math.floor(x + step * dx);
    const py = Math.floor(y + step * dy);
    const outside = px < 0 || py < 0 || px >= width || py >= height;
    if (!outside && data[py * width + px] === colour) continue;
    ends[ring++] = step - 0.5;
    if (ring === 3) return ends;
    if (outside) return null;
    colour ^= 1;
  }
  return null;
}

// The finder pattern whose middle a line meets at a point, or null if other lines through it do not agree.
function confirm(bitmap, x, y, expected) {
  const reach = 2 * expected;
  const down = crossSection(bitmap, x, y, 0, 1, reach);
  const across = down && crossSection(bitmap, x, down.y, 1, 0, reach);
  const middle = across && crossSection(bitmap, across.x, down.y, 0, 1, reach);
  if (!middle) return null;
  const falling = crossSection(bitmap, middle.x, middle.y, 1, 1, reach, ROUGH);
  const rising = falling && crossSection(bitmap, middle.x, middle.y, 1, -1, reach, ROUGH);
  if (!rising) return null;
  return {
    x: across.x,
    y: middle.y,
    module: (across.module + middle.module) / 2,
    inverted: bitmap.data[Math.floor(y) * bitmap.width + Math.floor(x)] === 0,
    seen: 1,
  };
}

function isSame(finder, x, y, module) {
  return Math.abs(finder.x - x) < 1.5 * finder.module && Math.abs(finder.y - y) < 1.5 * finder.module
    && Math.abs(finder.module - module) < 0.5 * finder.module + 1;
}

function add(found, finder) {
  const known = found.find((other) => other.inverted === finder.inverted
    && isSame(other, finder.x, finder.y, finder.module));
  if (!known) {
    if (found.length < MOST_FOUND) found.push(finder);
    return;
  }
  const seen = known.seen + 1;
  for (const key of ['x', 'y', 'module']) known[key] += (finder[key] - known[key]) / seen;
  known.seen = seen;
}

function bySeen(found) {
  return found.sort((a, b) => b.seen - a.seen);
}
