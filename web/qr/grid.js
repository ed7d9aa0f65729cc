// Where the modules of a symbol lie in the picture, and how bright they are.

import { LAST_VERSION, functionPatterns, lastAlignment, sizeOf } from './version.js';

// Centres of finder patterns are this many modules from the edges of the symbol.
const INSET = 3.5;
// Three finder patterns by chance are seldom half as much like a symbol as this, and those of a symbol seldom less than
// twice as much.
const LEAST_LIKENESS = 0.35;
// Parts of a module, from coarse to fine, by which the grid is moved to where it fits best.
const FIT_STEPS = [0.8, 0.4, 0.2, 0.1];
const DIRECTIONS = [[1, 0], [-1, 0], [0, 1], [0, -1]];
// Where a module's brightness is taken, from its centre: the mean of several has less noise.
const SPOTS = [[0, 0], [-0.2, -0.2], [0.2, -0.2], [-0.2, 0.2], [0.2, 0.2]];

/**
 * The grids that fit a symbol, the likeliest version first. The neighbouring versions are tried too, since the span is
 * measured and not counted.
 */
export function* fitGrids(gray, symbol) {
  const likely = (symbol.span + 2 * INSET - 17) / 4;
  const versions = Array.from({ length: LAST_VERSION }, (_, i) => i + 1)
    .filter((version) => Math.abs(version - likely) <= 1.2)
    .sort((a, b) => Math.abs(a - likely) - Math.abs(b - likely));
  for (const version of versions) {
    const grid = firstGrid(gray, symbol, version);
    if (grid.likeness(gray) >= LEAST_LIKENESS) yield settled(gray, grid);
  }
}

function firstGrid(gray, { topLeft, topRight, bottomLeft, ratios, inverted }, version) {
  const points = [topLeft, topRight, bottomLeft].map(({ x, y }) => [x, y]);
  // Perspective makes modules smaller with the square of the distance, along the line that leads away.
  const weights = ratios.map((ratio) => Math.sqrt(Math.min(2, Math.max(0.5, ratio))));
  const grid = new Grid(version, inverted, points, weights);
  points[3] = grid.at(grid.fourth, grid.fourth);
  return version > 1 ? grid.moved(3, findAlignment(gray, grid)) ?? grid : grid;
}

// From the fourth point to what near it looks most like an alignment pattern.
function findAlignment(gray, grid) {
  const centre = grid.fourth;
  const [x, y] = grid.at(centre, centre);
  const right = difference(grid.at(centre + 1, centre), [x, y]);
  const below = difference(grid.at(centre, centre + 1), [x, y]);
  const reach = 1.5 + 0.06 * grid.span;
  let best = -Infinity;
  let found = [0, 0];
  for (let v = -reach; v <= reach; v += 0.5) {
    for (let u = -reach; u <= reach; u += 0.5) {
      const by = [u * right[0] + v * below[0], u * right[1] + v * below[1]];
      const contrast = alignmentContrast(gray, x + by[0], y + by[1], right, below) * grid.sign;
      if (contrast > best) {
        best = contrast;
        found = by;
      }
    }
  }
  return found;
}

// How much brighter the ring around the centre of an alignment pattern is than the centre and the outer ring.
function alignmentContrast(gray, x, y, right, below) {
  let sum = 0;
  for (let v = -2; v <= 2; v++) {
    for (let u = -2; u <= 2; u++) {
      const value = brightness(gray, x + u * right[0] + v * below[0], y + u * right[1] + v * below[1]);
      sum += Math.max(Math.abs(u), Math.abs(v)) === 1 ? value / 8 : -value / 17;
    }
  }
  return sum;
}

// The grid with its points moved, one coordinate at a time, to where the symbol shows the most clearly.
function settled(gray, grid) {
  const module = Math.hypot(...difference(grid.points[1], grid.points[0])) / grid.span;
  let best = grid.clarity(gray);
  for (const step of FIT_STEPS) {
    for (const point of [3, 0, 1, 2]) {
      for (const [dx, dy] of DIRECTIONS) {
        const moved = grid.moved(point, [dx * step * module, dy * step * module]);
        const clarity = moved ? moved.clarity(gray) : -Infinity;
        if (clarity > best) {
          best = clarity;
          grid = moved;
        }
      }
    }
  }
  return grid;
}

class Grid {
  /**
   * @param points in the picture: the centres of the finder patterns at top left, top right and bottom left, and the
   *   fourth point, which is the centre of the last alignment pattern, or in version 1 of what would be a fourth finder
   * @param weights how much nearer than the first point the second and the third are: what perspective adds to a
   *   parallelogram
   */
  constructor(version, inverted, points, weights) {
    this.version = version;
    this.inverted = inverted;
    this.sign = inverted ? -1 : 1;
    this.size = sizeOf(version);
    this.span = this.size - 2 * INSET;
    this.fourth = version > 1 ? lastAlignment(version) + 0.5 : this.size - INSET;
    this.points = points;
    const [[px, py], [qx, qy], [rx, ry]] = points;
    const [q, r] = weights;
    this.projection = [px, py, q * qx - px, q * qy - py, r * rx - px, r * ry - py, q - 1, r - 1];
  }

  /** The grid with one of its points moved, or null if no grid goes through these four. */
  moved(point, [dx, dy]) {
    const points = this.points.slice();
    points[point] = [points[point][0] + dx, points[point][1] + dy];
    const weights = weightsOf(points, (this.fourth - INSET) / this.span);
    return weights && new Grid(this.version, this.inverted, points, weights);
  }

  /** The place in the picture, [x, y], of a point in the symbol, in modules from its top left corner. */
  at(u, v) {
    const [px, py, bx, by, cx, cy, bw, cw] = this.projection;
    const b = (u - INSET) / this.span;
    const c = (v - INSET) / this.span;
    const w = 1 + b * bw + c * cw;
    return [(px + b * bx + c * cx) / w, (py + b * by + c * cy) / w];
  }

  /** How bright some modules are, at a place from their centres. Inverted symbols come as if they were not. */
  brightnesses(gray, modules, du = 0, dv = 0) {
    const { size, span, sign } = this;
    const [px, py, bx, by, cx, cy, bw, cw] = this.projection;
    const values = new Float32Array(modules.length);
    for (let i = 0; i < modules.length; i++) {
      const row = Math.floor(modules[i] / size);
      const b = (modules[i] - row * size + 0.5 + du - INSET) / span;
      const c = (row + 0.5 + dv - INSET) / span;
      const w = 1 + b * bw + c * cw;
      values[i] = sign * brightness(gray, (px + b * bx + c * cx) / w, (py + b * by + c * cy) / w);
    }
    return values;
  }

  /** How well the function patterns correlate with what is there: 1 if perfectly. */
  likeness(gray) {
    const { drawn, colours } = functionPatterns(this.version);
    return -correlation(this.brightnesses(gray, drawn), Array.from(drawn, (module) => colours[module]));
  }

  /** How much the modules that fix the grid differ from medium brightness, each to the side that it should if known. */
  clarity(gray) {
    const { fixing, colours } = functionPatterns(this.version);
    const values = this.brightnesses(gray, fixing);
    const medium = mean(values);
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      const light = values[i] - medium;
      const colour = colours[fixing[i]];
      sum += colour === 0 ? Math.abs(light) : -colour * light;
    }
    return sum;
  }

  /** The brightness of all modules in rows. */
  sample(gray) {
    const all = Uint16Array.from({ length: this.size ** 2 }, (_, i) => i);
    const samples = SPOTS.map(([du, dv]) => this.brightnesses(gray, all, du, dv));
    return samples[0].map((_, i) => samples.reduce((sum, values) => sum + values[i], 0) / samples.length);
  }

  /** The corners of the symbol in the picture. */
  corners(mirrored) {
    const { size } = this;
    const [a, b, c, d] = [[0, 0], [size, 0], [size, size], [0, size]].map(([u, v]) => {
      const [x, y] = this.at(u, v);
      return { x, y };
    });
    return mirrored ? [a, d, c, b] : [a, b, c, d];
  }
}

// The weights of the second and third point that bring the fourth, at the part b of the span both ways, to its place.
function weightsOf([p, q, r, s], b) {
  const [px, py] = difference(s, p).map((value) => value * (1 - 2 * b));
  const [qx, qy] = difference(q, s).map((value) => value * b);
  const [rx, ry] = difference(r, s).map((value) => value * b);
  const determinant = qx * ry - qy * rx;
  const weights = [(px * ry - py * rx) / determinant, (qx * py - qy * px) / determinant];
  return weights.every((weight) => weight > 0.4 && weight < 2.5) ? weights : null;
}

// The brightness at a point between the pixels, whose centres are at halves. The border goes on outside the picture.
function brightness({ data, width, height }, x, y) {
  x = Math.min(Math.max(x - 0.5, 0), width - 1.001);
  y = Math.min(Math.max(y - 0.5, 0), height - 1.001);
  const left = x | 0;
  const top = y | 0;
  const right = x - left;
  const below = y - top;
  const i = top * width + left;
  const upper = data[i] + (data[i + 1] - data[i]) * right;
  const lower = data[i + width] + (data[i + width + 1] - data[i + width]) * right;
  return upper + (lower - upper) * below;
}

function difference(a, b) {
  return [a[0] - b[0], a[1] - b[1]];
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function correlation(a, b) {
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - meanA) * (b[i] - meanB);
    aa += (a[i] - meanA) ** 2;
    bb += (b[i] - meanB) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
