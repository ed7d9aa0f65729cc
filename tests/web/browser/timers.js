// Runs in the gate before its own scripts, where a test needs more time than the page gives to a volunteer.
//
// The page waits a second for the server, and then decides by itself. On a busy machine the server may take longer: with
// `timers.isPatient` that second is fifteen. A verdict is shown for some seconds: with `timers.areHeld` for as long as that.

(() => {
  const timers = { isPatient: false, areHeld: false };
  Object.defineProperty(window, 'timers', { value: timers });
  const [set, clear] = [setTimeout, clearTimeout];
  const cleared = new Set();

  window.setTimeout = (work, milliseconds, ...rest) => {
    const ring = () => {
      if (cleared.has(id)) return;
      if (timers.areHeld && milliseconds >= 2000) set(ring, 50);
      else work(...rest);
    };
    const id = set(ring, timers.isPatient && milliseconds === 1000 ? 15_000 : milliseconds);
    return id;
  };
  window.clearTimeout = (id) => {
    cleared.add(id);
    clear(id);
  };
})();
