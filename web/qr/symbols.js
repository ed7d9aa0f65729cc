// Symbols: three finder patterns that stand to each other as the corners of one code do.

import { ROUGH, crossSection } from './finder.js';

// Bounds the triples that are looked at and those that are tried.
const MOST_FINDERS = 24;
const MOST_SYMBOLS = 8;
// Centres of finder patterns are 14 modules apart in version 1 and 50 in version 10. Some more for what was measured ill.
const LEAST_SPAN = 11;
const MOST_SPAN = 60;
// Seen aslant, the angle at top left is no right one, and the sides are measured unlike, up to this: more so by the
// modules along the lines of the picture than by those along the sides.
const MOST_COSINE = 0.6;
const MOST_UNLIKE_ROUGHLY = 0.35;
const MOST_UNLIKE = 0.2;

/**
 * The likeliest symbols first: {topLeft, topRight, bottomLeft, span, ratios, inverted}. `span` is about how many modules
 * the centres are apart; `ratios` how the module's width at topLeft compares with that at topRight and at bottomLeft.
 * A mirrored symbol comes with topRight and bottomLeft exchanged.
 */
export function findSymbols(bitmap, finders) {
  const dark = finders.filter((finder) => !finder.inverted).slice(0, MOST_FINDERS);
  const light = finders.filter((finder) => finder.inverted).slice(0, MOST_FINDERS);
  return [...triplesOf(bitmap, dark), ...triplesOf(bitmap, light)]
    .sort((a, b) => a.misfit - b.misfit).slice(0, MOST_SYMBOLS);
}

// Any of the three may be top left: seen aslant, that need not be the one opposite the longest side.
function triplesOf(bitmap, some) {
  const symbols = [];
  for (const corner of some) {
    const alike = some.filter((other) => other !== corner && isAlike(corner, other));
    for (let i = 0; i < alike.length; i++) {
      for (let j = i + 1; j < alike.length; j++) {
        const symbol = isAlike(alike[i], alike[j]) && measure(bitmap, corner, ...clockwise(corner, alike[i], alike[j]));
        if (symbol) symbols.push(symbol);
      }
    }
  }
  return symbols;
}

function isAlike(a, b) {
  return Math.max(a.module, b.module) <= 1.8 * Math.min(a.module, b.module) + 0.5;
}

function clockwise(from, a, b) {
  return (a.x - from.x) * (b.y - from.y) > (a.y - from.y) * (b.x - from.x) ? [a, b] : [b, a];
}

function measure(bitmap, topLeft, topRight, bottomLeft) {
  const width = distance(topLeft, topRight);
  const height = distance(topLeft, bottomLeft);
  const product = (topRight.x - topLeft.x) * (bottomLeft.x - topLeft.x)
    + (topRight.y - topLeft.y) * (bottomLeft.y - topLeft.y);
  const cosine = Math.abs(product) / (width * height);
  if (!(cosine < MOST_COSINE)) return null;
  const spans = [width / (topLeft.module + topRight.module), height / (topLeft.module + bottomLeft.module)];
  if (unlike(...spans) > MOST_UNLIKE_ROUGHLY) return null;
  const top = measureSide(bitmap, topLeft, topRight);
  const left = top && measureSide(bitmap, topLeft, bottomLeft);
  if (!left) return null;
  const misfit = unlike(top.span, left.span);
  if (misfit > MOST_UNLIKE) return null;
  return {
    topLeft, topRight, bottomLeft,
    span: (top.span + left.span) / 2,
    ratios: [top.ratio, left.ratio],
    inverted: topLeft.inverted,
    // Of symbols whose sides agree alike, the one with the righter angle is seen the less aslant, and likelier.
    misfit: misfit + 0.2 * cosine,
  };
}

function measureSide(bitmap, from, to) {
  const [x, y] = [to.x - from.x, to.y - from.y];
  const steps = Math.max(Math.abs(x), Math.abs(y));
  const expected = Math.max(from.module, to.module);
  if (steps < 0.6 * LEAST_SPAN * Math.min(from.module, to.module) || steps > 1.5 * MOST_SPAN * expected) return null;
  const near = crossSection(bitmap, from.x, from.y, x / steps, y / steps, expected, ROUGH);
  const far = near && crossSection(bitmap, to.x, to.y, x / steps, y / steps, expected, ROUGH);
  if (!far) return null;
  const span = 2 * steps / (near.module + far.module);
  if (span < LEAST_SPAN || span > MOST_SPAN) return null;
  return { span, ratio: near.module / far.module };
}

function unlike(a, b) {
  return Math.abs(a - b) / (a + b);
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
