// Times as people at an event write them: local time of a named zone.

/** The zones of Indonesia, and what people call them. */
export const INDONESIA = { 'Asia/Jakarta': 'WIB', 'Asia/Makassar': 'WITA', 'Asia/Jayapura': 'WIT' };

const QUARTER_MS = 900_000;
const formats = new Map();
const offsets = new Map();

/** The zones to choose from: those of Indonesia, and that of the browser where it is another. */
export function zonesToChoose(ofBrowser = Intl.DateTimeFormat().resolvedOptions().timeZone) {
  const zones = Object.keys(INDONESIA);
  return !ofBrowser || zones.includes(ofBrowser) ? zones : [...zones, ofBrowser];
}

/** What a zone is called: `WIB`, or its own name. */
export function zoneName(zone) {
  return INDONESIA[zone] ?? zone;
}

/** How many minutes the clocks of `zone` are ahead of UTC at `ms`, milliseconds since 1970. */
export function offsetMinutes(ms, zone) {
  // No zone changes its offset within a quarter of an hour, and to ask for each of 50,000 records takes seconds.
  const quarter = Math.floor(ms / QUARTER_MS);
  const key = `${zone} ${quarter}`;
  let minutes = offsets.get(key);
  if (minutes === undefined) {
    minutes = readOffset(quarter * QUARTER_MS, zone);
    offsets.set(key, minutes);
  }
  return minutes;
}

function readOffset(ms, zone) {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const local = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  return Math.round((local - ms) / 60_000);
}

/** `2026-12-01T19:00:05` for a moment in milliseconds since 1970, as the clocks of `zone` show it. */
export function localTime(ms, zone) {
  return new Date(ms + offsetMinutes(ms, zone) * 60_000).toISOString().slice(0, 19);
}

/** `2026-12-01T19:00:00+07:00` for the local time `2026-12-01T19:00` of `zone`, as a field for times gives it. */
export function withOffset(local, zone) {
  const asUtc = Date.parse(`${local}Z`);
  if (Number.isNaN(asUtc)) throw new RangeError(`no local time: ${local}`);
  // The offset is that of the moment itself, which is not known before the offset is; the second guess settles it.
  let minutes = offsetMinutes(asUtc, zone);
  minutes = offsetMinutes(asUtc - minutes * 60_000, zone);
  const sign = minutes < 0 ? '-' : '+';
  const two = (number) => String(number).padStart(2, '0');
  const hours = two(Math.floor(Math.abs(minutes) / 60));
  return `${new Date(asUtc).toISOString().slice(0, 19)}${sign}${hours}:${two(Math.abs(minutes) % 60)}`;
}

/** A moment of an event in milliseconds since 1970. Without an offset it is local time of `zone`. */
export function momentMs(moment, zone) {
  const hasOffset = /(Z|[+-]\d\d:?\d\d)$/.test(moment);
  return Date.parse(hasOffset ? moment : withOffset(moment.slice(0, 19), zone));
}

/** The value of a field for times, `2026-12-01T19:00`, for a moment of an event; empty for `null`. */
export function fieldValue(moment, zone) {
  return moment ? localTime(momentMs(moment, zone), zone).slice(0, 16) : '';
}

/** The moment for the value of a field for times; `null` for an empty one. */
export function fieldMoment(value, zone) {
  return value ? withOffset(value, zone) : null;
}
