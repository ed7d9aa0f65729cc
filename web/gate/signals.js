// What a volunteer hears and feels without looking: a sound and a vibration for each verdict.

/** Tones as `[hertz, seconds]`, and vibrations in milliseconds. What is not here is silent. */
const SIGNALS = {
  in: { tones: [[880, 0.09], [1318, 0.16]], vibration: [80] },
  'in-unsynced': { tones: [[880, 0.08], [0, 0.05], [880, 0.08], [1318, 0.14]], vibration: [60, 60, 60] },
  already: { tones: [[220, 0.3], [175, 0.35]], vibration: [300] },
  refused: { tones: [[220, 0.18], [0, 0.06], [220, 0.18], [0, 0.06], [220, 0.25]], vibration: [200, 100, 200] },
  unsure: { tones: [[523, 0.16], [659, 0.16], [523, 0.16]], vibration: [120, 80, 120] },
  conflict: { tones: [[784, 0.12], [392, 0.2], [784, 0.12], [392, 0.25]], vibration: [120, 80, 120, 80, 120] },
};
const VOLUME = 0.4;

/** Browsers let a page make sounds only after a tap: `start` has to be called in one. */
export class Signals {
  #audio = null;

  start() {
    this.#audio ??= typeof AudioContext === 'undefined' ? null : new AudioContext();
    this.#resume();
  }

  /** Gives the signal for a verdict. */
  give(state) {
    const signal = SIGNALS[state];
    if (!signal) return;
    if (navigator.userActivation?.hasBeenActive !== false) navigator.vibrate?.(signal.vibration);
    if (!this.#audio) return;
    this.#resume();
    let at = this.#audio.currentTime;
    for (const [hertz, seconds] of signal.tones) {
      if (hertz) this.#play(hertz, at, seconds);
      at += seconds;
    }
  }

  // A call, or another app, has stopped it.
  #resume() {
    if (this.#audio && this.#audio.state !== 'running') this.#audio.resume().catch(() => {});
  }

  #play(hertz, at, seconds) {
    const tone = new OscillatorNode(this.#audio, { type: 'triangle', frequency: hertz });
    const volume = new GainNode(this.#audio, { gain: 0 });
    // Without a ramp it would click.
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(VOLUME, at + 0.01);
    volume.gain.setValueAtTime(VOLUME, at + seconds - 0.02);
    volume.gain.linearRampToValueAtTime(0, at + seconds);
    tone.connect(volume).connect(this.#audio.destination);
    tone.start(at);
    tone.stop(at + seconds);
  }
}
