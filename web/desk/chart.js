// Charts, as SVG.

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 200;
const NARROWEST = 240;
const [TOP, BOTTOM] = [10, 24];
const DIGIT = 9;

/**
 * Bars for how many came in each of the last minutes, oldest first; the last minute is not over, and drawn as outline.
 *
 * @param {number[]} counts
 * @param {number} pixels how wide it is drawn
 * @param {{label: string, now: string, ago: (minutes: number) => string}} texts
 */
export function minuteChart(counts, pixels, { label, now, ago }) {
  const most = niceMost(Math.max(...counts, 1));
  const width = Math.max(pixels, NARROWEST);
  const left = 12 + DIGIT * String(most).length;
  const [inner, step] = [HEIGHT - TOP - BOTTOM, (width - left) / counts.length];
  const y = (count) => TOP + inner * (1 - count / most);
  const chart = svg('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label': label, class: 'chart' });
  for (const count of [0, most / 2, most]) {
    if (!Number.isInteger(count)) continue;
    chart.append(
      svg('line', { x1: left, x2: width, y1: y(count), y2: y(count), class: 'grid' }),
      svg('text', { x: left - 8, y: y(count) + 5, 'text-anchor': 'end' }, String(count)),
    );
  }
  counts.forEach((count, index) => {
    const isLast = index === counts.length - 1;
    const bar = {
      x: left + index * step + 1,
      y: y(count),
      width: Math.max(1, step - 2),
      height: HEIGHT - BOTTOM - y(count),
    };
    if (count > 0) chart.append(svg('rect', { ...bar, class: isLast ? 'bar now' : 'bar' }));
  });
  const every = width < 480 ? 30 : 15;
  for (let minutes = counts.length; minutes >= 0; minutes -= every) {
    const x = width - minutes * step;
    const anchor = minutes === counts.length ? 'start' : minutes === 0 ? 'end' : 'middle';
    chart.append(svg('text', { x, y: HEIGHT - 5, 'text-anchor': anchor }, minutes === 0 ? now : ago(minutes)));
  }
  return chart;
}

/** The next number from `most` on that makes a good end of an axis: 2, 4, 10, 20, 40, 100 … */
export function niceMost(most) {
  for (let power = 1; ; power *= 10) {
    const found = [2, 4, 10].find((factor) => factor * power >= most);
    if (found) return found * power;
  }
}

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
