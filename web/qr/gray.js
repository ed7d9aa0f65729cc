// Pictures of one brightness a pixel: {data, width, height}.

// What is larger is made smaller first. No code of version 10 needs more, and it bounds the time a picture takes.
const MOST_PIXELS = 2_100_000;
// Version 1 has 21 modules, and a module less than a pixel wide cannot be seen.
const SHORTEST_SIDE = 21;

/** The brightness of a picture in RGBA, or null if the picture can hold no code or is not as large as it says. */
export function grayscale(rgba, width, height) {
  if (!Number.isInteger(width) || !Number.isInteger(height) || Math.min(width, height) < SHORTEST_SIDE) return null;
  if (rgba?.length !== 4 * width * height) return null;
  const data = new Uint8Array(width * height);
  for (let i = 0, from = 0; i < data.length; i++, from += 4) {
    data[i] = (rgba[from] * 77 + rgba[from + 1] * 150 + rgba[from + 2] * 29) >> 8;
  }
  let picture = { data, width, height };
  while (picture.width * picture.height > MOST_PIXELS) picture = halved(picture);
  return picture;
}

/** The picture at half its width and height, each pixel the mean of four. */
export function halved({ data, width, height }) {
  const halfWidth = width >> 1;
  const halfHeight = height >> 1;
  const half = new Uint8Array(halfWidth * halfHeight);
  for (let y = 0, to = 0; y < halfHeight; y++) {
    for (let x = 0, from = 2 * y * width; x < halfWidth; x++, from += 2) {
      half[to++] = (data[from] + data[from + 1] + data[from + width] + data[from + width + 1] + 2) >> 2;
    }
  }
  return { data: half, width: halfWidth, height: halfHeight };
}
