// Which pixels are dark, each compared with the brightness of its surroundings, because light is seldom even.

const BLOCK = 8;
// Every second pixel of every second line says enough about a block.
const SAMPLE = 2;
// Blocks on each side that make up the surroundings.
const RADIUS = 1;
// Brightness that differs less than this is the grain of one surface.
const LEAST_CONTRAST = 24;

/** A bitmap of the picture: {data, width, height} with 1 for dark and 0 for light. */
export function binarize(gray) {
  const { data, width, height } = gray;
  const blocks = measureBlocks(gray);
  const thresholds = blockThresholds(blocks);
  const bits = new Uint8Array(data.length);
  for (let y = 0, i = 0; y < height; y++) {
    let block = Math.floor(y / BLOCK) * blocks.columns;
    for (let left = 0; left < width; left += BLOCK, block++) {
      const threshold = thresholds[block];
      for (const end = i + Math.min(BLOCK, width - left); i < end; i++) bits[i] = (data[i] - threshold) >>> 31;
    }
  }
  return { data: bits, width, height };
}

function measureBlocks({ data, width, height }) {
  const columns = Math.ceil(width / BLOCK);
  const rows = Math.ceil(height / BLOCK);
  const means = new Float32Array(columns * rows);
  const darkest = new Uint8Array(columns * rows);
  const lightest = new Uint8Array(columns * rows);
  for (let row = 0, block = 0; row < rows; row++) {
    const bottom = Math.min(height, (row + 1) * BLOCK);
    for (let column = 0; column < columns; column++, block++) {
      const right = Math.min(width, (column + 1) * BLOCK);
      let sum = 0;
      let count = 0;
      let min = 255;
      let max = 0;
      for (let y = row * BLOCK; y < bottom; y += SAMPLE) {
        for (let i = y * width + column * BLOCK, end = y * width + right; i < end; i += SAMPLE) {
          const value = data[i];
          sum += value;
          count++;
          if (value < min) min = value;
          if (value > max) max = value;
        }
      }
      means[block] = sum / count;
      darkest[block] = min;
      lightest[block] = max;
    }
  }
  return { columns, rows, means, darkest, lightest };
}

// The mean of the surroundings where they hold both dark and light, and elsewhere what the neighbours compare with:
// so the inside of a large dark area stays dark.
function blockThresholds({ columns, rows, means, darkest, lightest }) {
  const thresholds = new Uint8Array(columns * rows);
  for (let row = 0, block = 0; row < rows; row++) {
    const top = Math.max(0, row - RADIUS);
    const bottom = Math.min(rows - 1, row + RADIUS);
    for (let column = 0; column < columns; column++, block++) {
      const left = Math.max(0, column - RADIUS);
      const right = Math.min(columns - 1, column + RADIUS);
      let sum = 0;
      let min = 255;
      let max = 0;
      for (let y = top; y <= bottom; y++) {
        for (let i = y * columns + left, end = y * columns + right; i <= end; i++) {
          sum += means[i];
          if (darkest[i] < min) min = darkest[i];
          if (lightest[i] > max) max = lightest[i];
        }
      }
      if (max - min >= LEAST_CONTRAST) thresholds[block] = sum / ((bottom - top + 1) * (right - left + 1));
    }
  }
  spread(thresholds, columns);
  return thresholds;
}

// Fills the zeros from the blocks before them, then what is left from the blocks behind them.
function spread(thresholds, columns) {
  const { length } = thresholds;
  for (let i = 0; i < length; i++) {
    if (thresholds[i] === 0) thresholds[i] = (i % columns && thresholds[i - 1]) || thresholds[i - columns] || 0;
  }
  for (let i = length - 1; i >= 0; i--) {
    if (thresholds[i] === 0) thresholds[i] = ((i + 1) % columns && thresholds[i + 1]) || thresholds[i + columns] || 0;
  }
}
