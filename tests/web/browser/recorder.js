// Runs in every page before its own scripts, and writes down what a test cannot see from outside: each verdict, each
// screen, which picture of the camera was shown from when on, and what the Content-Security-Policy has forbidden.

(() => {
  const record = { verdicts: [], screens: [], pictures: [], frames: 0, forbidden: [] };
  Object.defineProperty(window, 'recorded', { value: record });

  document.addEventListener('securitypolicyviolation', (event) => {
    record.forbidden.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
  });

  new MutationObserver((changes) => {
    const main = document.querySelector('main');
    if (!changes.some(({ target }) => target === main)) return;
    const { state } = main.dataset;
    const ticket = document.querySelector('#status .ticket')?.textContent ?? '';
    const last = record.verdicts.at(-1);
    // What is shown once more is no new verdict.
    if (last?.state === state && last.ticket === ticket) return;
    record.verdicts.push({
      state,
      ticket,
      said: document.getElementById('status')?.innerText ?? '',
      at: performance.now(),
    });
  }).observe(document, { subtree: true, attributeFilter: ['data-state'] });

  new MutationObserver(() => {
    const screen = document.querySelector('main')?.dataset.screen;
    if (screen && record.screens.at(-1)?.screen !== screen) record.screens.push({ screen, at: performance.now() });
  }).observe(document, { subtree: true, childList: true, attributeFilter: ['data-screen'] });

  // The brightness of the square in the upper left corner of the picture, as camera.py draws it, in three shades.
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const pixel = canvas.getContext('2d', { willReadFrequently: true });
  const watched = new WeakSet();
  const watch = (video) => {
    if (watched.has(video)) return;
    watched.add(video);
    const look = (at) => {
      pixel.drawImage(video, 4, 4, 8, 8, 0, 0, 1, 1);
      const light = pixel.getImageData(0, 0, 1, 1).data[0];
      const shade = light < 75 ? 40 : light < 165 ? 120 : 200;
      record.frames += 1;
      if (record.pictures.at(-1)?.shade !== shade) record.pictures.push({ shade, at, frame: record.frames });
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  document.addEventListener('playing', ({ target }) => target instanceof HTMLVideoElement && watch(target), true);
})();
