// Reads the pictures that pictures.py writes to standard input, and compares what web/qr.js reads in them with what is
// there and with what zxing-cpp reads. Exit status 1 if a bound is not kept.

import { decode } from '../../../web/qr.js';

const LEAST_SHARE = 0.9;
const MOST_MS = 30;
const TIMED = '640x480';

const kinds = new Map();
const times = { code: [], none: [] };
const missed = [];
const wrong = [];
let zxingWrong = 0;

for await (const { head, rgba } of pictures(process.stdin)) {
  const began = process.cpuUsage();
  const read = decode(rgba, head.width, head.height)?.text ?? null;
  const { user, system } = process.cpuUsage(began);
  if (`${head.width}x${head.height}` === TIMED) times[head.text === null ? 'none' : 'code'].push((user + system) / 1000);

  const byZxing = head.text !== null && head.zxing.includes(head.text);
  if (head.zxing.some((text) => text !== head.text)) zxingWrong++;
  if (read !== null && read !== head.text) wrong.push(`${head.number} ${head.kind}: read ${JSON.stringify(read)}, not ${JSON.stringify(head.text)}`);
  const kind = kinds.get(head.kind) ?? { pictures: 0, zxing: 0, ours: 0, both: 0 };
  kinds.set(head.kind, kind);
  kind.pictures++;
  if (byZxing) kind.zxing++;
  if (read !== null) kind.ours++;
  if (byZxing && read !== null) kind.both++;
  if (byZxing && read === null) missed.push(`${head.number} ${head.kind} ${head.width}x${head.height}`);
}

report();

// Yields each picture with its line of JSON before it.
async function* pictures(stream) {
  let pending = Buffer.alloc(0);
  const chunks = stream[Symbol.asyncIterator]();
  const more = async () => {
    const { value, done } = await chunks.next();
    if (done) return false;
    pending = Buffer.concat([pending, value]);
    return true;
  };
  for (;;) {
    let end;
    while ((end = pending.indexOf(10)) < 0) if (!await more()) return;
    const head = JSON.parse(pending.subarray(0, end));
    const next = end + 1 + head.width * head.height;
    while (pending.length < next) if (!await more()) throw new Error(`picture ${head.number} ends early`);
    yield { head, rgba: rgbaOf(pending.subarray(end + 1, next)) };
    pending = pending.subarray(next);
  }
}

function rgbaOf(pixels) {
  const rgba = new Uint8ClampedArray(4 * pixels.length).fill(255);
  for (let i = 0; i < pixels.length; i++) rgba[4 * i] = rgba[4 * i + 1] = rgba[4 * i + 2] = pixels[i];
  return rgba;
}

function report() {
  const all = { pictures: 0, zxing: 0, ours: 0, both: 0 };
  console.log('kind         pictures  zxing-cpp  ours  of zxing-cpp\'s');
  for (const [name, kind] of kinds) {
    for (const key in all) all[key] += kind[key];
    line(name, kind);
  }
  line('all', all);
  if (missed.length) console.log(`Read by zxing-cpp only: ${missed.join(', ')}`);
  wrong.forEach((what) => console.log(`FALSE READING of picture ${what}`));
  const share = all.both / all.zxing;
  const median = quantile(times.code, 0.5);
  console.log(`False readings: ours ${wrong.length}, zxing-cpp ${zxingWrong}`);
  console.log(`Time of ours at ${TIMED}, in ms (median, 95th percentile): with a code ${of(times.code)}, without ${of(times.none)}`);
  if (!(share >= LEAST_SHARE)) fail(`ours reads ${share.toFixed(3)} of what zxing-cpp reads, not ${LEAST_SHARE}`);
  if (wrong.length) fail(`${wrong.length} pictures read wrong`);
  if (!(median <= MOST_MS)) fail(`the median is ${median} ms, not at most ${MOST_MS}`);
}

function line(name, { pictures: count, zxing, ours, both }) {
  const share = zxing ? (both / zxing).toFixed(3) : '-';
  console.log(`${name.padEnd(12)} ${String(count).padStart(8)} ${String(zxing).padStart(10)} ${String(ours).padStart(5)} ${share.padStart(15)}`);
}

function of(values) {
  return `${quantile(values, 0.5)?.toFixed(1)}, ${quantile(values, 0.95)?.toFixed(1)}`;
}

function quantile(values, part) {
  return [...values].sort((a, b) => a - b)[Math.floor(part * (values.length - 1))];
}

function fail(why) {
  console.log(`FAILED: ${why}`);
  process.exitCode = 1;
}
