// The camera of the phone, on the page's video element.

/** A picture that stays the same for so long comes from a camera that is not really on. */
const STILL_MS = 4000;
const CONSTRAINTS = {
  audio: false,
  video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 }, height: { ideal: 720 } },
};

/**
 * Keeps the camera on while it is wanted: after the phone was asleep, after a call, when another one is plugged in. It
 * fires `change` when `problem` or `hasTorch` has changed.
 */
export class Camera extends EventTarget {
  #video;
  #track = null;
  #isWanted = false;
  #starting = null;
  #lastTime = -1;
  #movedAt = 0;
  #triedAt = 0;

  /** Why there is no picture: `insecure`, `denied`, `none`, `busy` or `failed`; or `null`. */
  problem = null;
  hasTorch = false;
  isTorchOn = false;

  constructor(video) {
    super();
    this.#video = video;
    document.addEventListener('visibilitychange', () => document.hidden || this.#check());
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.#check());
    setInterval(() => this.problem === 'none' || this.#check(), STILL_MS / 4);
  }

  /** Turns the camera on. Resolves when it is, or when there is a `problem`. */
  async start() {
    this.#isWanted = true;
    await this.#restart();
  }

  stop() {
    this.#isWanted = false;
    this.#end();
  }

  /** Whether there are pictures. */
  get isOn() {
    return this.#track?.readyState === 'live' && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  async setTorch(isOn) {
    try {
      await this.#track?.applyConstraints({ advanced: [{ torch: isOn }] });
      this.isTorchOn = isOn;
    } catch {
      this.hasTorch = false;
    }
    this.dispatchEvent(new Event('change'));
  }

  #restart() {
    this.#starting ??= this.#open().finally(() => (this.#starting = null));
    return this.#starting;
  }

  async #open() {
    const before = JSON.stringify([this.problem, this.hasTorch, this.isOn]);
    this.#end();
    this.#triedAt = performance.now();
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new DOMException('no secure context', 'SecurityError');
      const stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
      [this.#track] = stream.getVideoTracks();
      if (!this.#isWanted) return this.#end();
      this.#track.addEventListener('ended', () => this.#check());
      this.#video.srcObject = stream;
      this.#movedAt = performance.now();
      await this.#video.play();
      this.problem = null;
      this.hasTorch = Boolean(this.#track.getCapabilities?.().torch);
    } catch (error) {
      // A new picture was asked for before this one had begun to play.
      if (error.name !== 'AbortError' || !this.#track) this.problem = problemOf(error);
    }
    if (JSON.stringify([this.problem, this.hasTorch, this.isOn]) !== before) this.dispatchEvent(new Event('change'));
  }

  #end() {
    this.#track?.stop();
    this.#track = null;
    this.hasTorch = this.isTorchOn = false;
    this.#video.srcObject = null;
  }

  /** Turns the camera on again if it is off, or stands still. */
  #check() {
    if (!this.#isWanted || document.hidden || this.#starting) return;
    // Asked again, the browser would ask the volunteer again; and nothing changes by itself.
    if (this.problem === 'denied' || this.problem === 'insecure') return;
    const { currentTime } = this.#video;
    if (currentTime !== this.#lastTime) {
      this.#lastTime = currentTime;
      this.#movedAt = performance.now();
    }
    const now = performance.now();
    const isStill = now - this.#movedAt > STILL_MS;
    const wasTried = this.problem !== null && now - this.#triedAt < STILL_MS;
    if (!wasTried && (this.#track?.readyState !== 'live' || isStill)) this.#restart();
  }
}

function problemOf({ name }) {
  switch (name) {
    case 'SecurityError':
      return 'insecure';
    case 'NotAllowedError':
      return 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'none';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'failed';
  }
}
