// What the scans of a rehearsal say about a phone.

/** A scan that took this much longer than the quickest of the same phone has waited on it. */
const LATE_MS = 3_000;
/** Clocks that differ by less are right for everything that people do. */
const CLOCK_MS = 60_000;

/**
 * What is known about the phone of the gate `name`.
 *
 * When a scan was made is told by the clock of the phone, and when it arrived by that of the service. Both may be
 * wrong. So scans of the same phone are compared with each other: the quickest one is taken for one that came at once.
 *
 * @param {{by: string, at: string, scanned_at: string | null}[]} scans all of the rehearsal
 * @param {boolean | null} sound whether a person has heard the phone; `null` if nobody has said so yet
 * @returns {{direct: string | null, late: {at: string, seconds: number} | null, notLate: boolean, clockOff: number,
 *   sound: boolean | null, isReady: boolean}} `direct` is when the quickest scan arrived, `late` when the first one did
 *   that had to wait, and how long it did. `notLate`: there were two scans, and none had to wait. `clockOff`: by how
 *   many minutes the clocks differ, 0 for less than one.
 */
export function checksOf(name, scans, sound) {
  const own = scans.filter(({ by }) => by === name).map((scan) => ({ at: scan.at, took: took(scan) }));
  const quickest = own.reduce((least, scan) => (least && least.took <= scan.took ? least : scan), null);
  const waited = own.find(({ took }) => took - quickest.took >= LATE_MS);
  const late = waited ? { at: waited.at, seconds: Math.round((waited.took - quickest.took) / 1000) } : null;
  return {
    direct: quickest?.at ?? null,
    late,
    notLate: !late && own.length > 1,
    clockOff: quickest && Math.abs(quickest.took) > CLOCK_MS ? Math.round(quickest.took / 60_000) : 0,
    sound,
    isReady: late !== null && sound === true,
  };
}

/** How long a scan took to arrive, and by how much the clocks differ. */
function took({ at, scanned_at }) {
  return scanned_at === null ? 0 : Date.parse(at) - Date.parse(scanned_at);
}

/** What is to be done next with a phone: `direct`, `late`, `sound` or `done`. */
export function nextStep({ direct, late, sound }) {
  if (!direct) return 'direct';
  if (!late) return 'late';
  return sound === null ? 'sound' : 'done';
}
