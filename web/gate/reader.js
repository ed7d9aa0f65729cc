// Reading QR codes from the pictures of the camera: by the browser if it proves that it can, else by our own decoder.

/** Longer side of the pictures that are looked at, in pixels. */
const LONGEST_SIDE = 640;
/** From one picture to the next. */
const EVERY_MS = 66;
/** A video that shows no new picture, as one that is out of sight, is looked at nevertheless. */
const PICTURE_TIMEOUT_MS = 250;
const PROOF_TIMEOUT_MS = 5000;

const WORKER = '/web/qr-worker.js';
/** As service-worker.js answers it. */
const KEPT_WORKER = '/gate?decoder';
const RESTART_MS = 1000;

/** What the proof reads, as the rows of its code: 21 modules, most significant bit first. */
const PROOF_TEXT = 'TIXGO';
const PROOF_ROWS = [
  0x1fc17f, 0x105941, 0x174a5d, 0x17465d, 0x175f5d, 0x104a41, 0x1fd57f, 0x000000, 0x154d12, 0x1db2ad, 0x13f2e8,
  0x06a3bf, 0x0b4ee9, 0x00144c, 0x1fc112, 0x104847, 0x175155, 0x1746aa, 0x1756e5, 0x1047bb, 0x1fdae5,
];

/** Looks at the pictures of `video` from start to stop, one at a time, and calls `onText` with what a code says. */
export class Reader {
  #video;
  #onText;
  #isRunning = false;
  #canvas = document.createElement('canvas');
  #decode = new WorkerDecoder();

  constructor(video, onText) {
    this.#video = video;
    this.#onText = onText;
    provenDetector().then((detector) => detector && this.#use(detector));
  }

  start() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run();
  }

  stop() {
    this.#isRunning = false;
  }

  #use(detector) {
    const own = this.#decode;
    this.#decode = {
      read: async (canvas) => {
        try {
          return (await detector.detect(canvas))[0]?.rawValue ?? null;
        } catch {
          this.#decode = own;
          return null;
        }
      },
    };
  }

  async #run() {
    while (this.#isRunning) {
      const begun = performance.now();
      await nextPicture(this.#video);
      if (this.#isRunning && this.#draw()) {
        const text = await this.#decode.read(this.#canvas);
        if (text && this.#isRunning) this.#onText(text);
      }
      const rest = begun + EVERY_MS - performance.now();
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
  }

  /** Draws the picture of now. Returns whether there is one. */
  #draw() {
    const { videoWidth, videoHeight, readyState } = this.#video;
    if (!videoWidth || readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return false;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    const width = Math.round(videoWidth * scale);
    const height = Math.round(videoHeight * scale);
    // The phone was turned.
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    context(this.#canvas).drawImage(this.#video, 0, 0, width, height);
    return true;
  }
}

/** Our decoder, in a worker, so that the page never waits for it. */
class WorkerDecoder {
  #worker;
  #answered = new Map();
  #id = 0;

  constructor() {
    // The service worker keeps a worker only if its address is in its scope: the same file by another name.
    this.#start(navigator.serviceWorker?.controller ? KEPT_WORKER : WORKER);
  }

  #start(address) {
    // A picture that the worker before could not take, or that came after its end, must not be the last one.
    [...this.#answered.keys()].forEach((id) => this.#answer(id, null));
    this.#worker = new Worker(address, { type: 'module' });
    this.#worker.addEventListener('message', ({ data: { id, text } }) => this.#answer(id, text));
    this.#worker.addEventListener('error', () => {
      this.#worker.terminate();
      setTimeout(() => this.#start(WORKER), RESTART_MS);
    });
  }

  read(canvas) {
    const { width, height } = canvas;
    const rgba = context(canvas).getImageData(0, 0, width, height).data.buffer;
    const id = (this.#id += 1);
    return new Promise((resolve) => {
      this.#answered.set(id, resolve);
      this.#worker.postMessage({ id, rgba, width, height }, [rgba]);
    });
  }

  #answer(id, text) {
    this.#answered.get(id)?.(text);
    this.#answered.delete(id);
  }
}

/** The browser's own detector, if it reads a code that is drawn for it: it can be there and never find anything. */
async function provenDetector() {
  if (typeof BarcodeDetector === 'undefined') return null;
  const late = new Promise((resolve) => setTimeout(resolve, PROOF_TIMEOUT_MS, null));
  try {
    const detector = new BarcodeDetector({ formats: ['qr_code'] });
    const found = await Promise.race([detector.detect(proof()), late]);
    return found?.[0]?.rawValue === PROOF_TEXT ? detector : null;
  } catch {
    return null;
  }
}

function proof() {
  const module = 8;
  const quiet = 4;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = (PROOF_ROWS.length + 2 * quiet) * module;
  const drawing = context(canvas);
  drawing.fillStyle = '#fff';
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.fillStyle = '#000';
  PROOF_ROWS.forEach((row, y) => {
    for (let x = 0; x < PROOF_ROWS.length; x += 1) {
      const isDark = (row >> (PROOF_ROWS.length - 1 - x)) & 1;
      if (isDark) drawing.fillRect((x + quiet) * module, (y + quiet) * module, module, module);
    }
  });
  return canvas;
}

function context(canvas) {
  return canvas.getContext('2d', { willReadFrequently: true });
}

function nextPicture(video) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PICTURE_TIMEOUT_MS);
    video.requestVideoFrameCallback?.(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
