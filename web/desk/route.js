// The address of what is shown, behind the `#`: `#/events`, `#/event/<id>/board`.

/** Sections that are about one event. */
export const OF_EVENT = ['tickets', 'sheet', 'board', 'search', 'report'];
const OTHERS = ['events', 'people', 'drill', 'account'];

/** `{section, event}` that `hash` names, or `null`. `event` is `null` where the section is about none. */
export function readRoute(hash) {
  const parts = hash.replace(/^#\/?/, '').split('/');
  if (parts.length === 1 && OTHERS.includes(parts[0])) return { section: parts[0], event: null };
  if (parts.length === 3 && parts[0] === 'event' && parts[1] && OF_EVENT.includes(parts[2])) {
    return { section: parts[2], event: decoded(parts[1]) };
  }
  return null;
}

/** The address of a section, about `event` where it is about one. */
export function writeRoute(section, event) {
  return OF_EVENT.includes(section) ? `#/event/${encodeURIComponent(event)}/${section}` : `#/${section}`;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
