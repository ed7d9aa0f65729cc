// Times as the page says them.

import { language } from '../shared/language.js';
import { momentMs, zoneName } from './zones.js';

const formats = new Map();

function format(name, zone, options) {
  const locale = language() === 'en' ? 'en-GB' : 'id-ID';
  const key = `${name} ${zone} ${locale}`;
  if (!formats.has(key)) formats.set(
    key,
    new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: 'h23', ...options }),
  );
  return formats.get(key);
}

/** `1 Des 2026, 19.00 WIB` for a moment of an event. */
export function dayAndTime(moment, zone) {
  const options = { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' };
  return `${format('day-and-time', zone, options).format(momentMs(moment, zone))} ${zoneName(zone)}`;
}

/** `1 Des 2026` for a moment. */
export function day(moment, zone) {
  return format('day', zone, { day: 'numeric', month: 'short', year: 'numeric' }).format(momentMs(moment, zone));
}

/** `19.00.05` for a moment. */
export function clock(moment, zone) {
  const options = { hour: '2-digit', minute: '2-digit', second: '2-digit' };
  return format('clock', zone, options).format(momentMs(moment, zone));
}

/** `1 Des, 19.00.05` for a moment. */
export function dayAndClock(moment, zone) {
  const options = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' };
  return format('day-and-clock', zone, options).format(momentMs(moment, zone));
}

/** `1.234` for a number. */
export function number(value) {
  return value.toLocaleString(language() === 'en' ? 'en-GB' : 'id-ID');
}
