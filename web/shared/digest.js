// The digests that stand for tickets where the service names none: in `/offline` and `/changes`.

import { sha256 } from './sha256.js';

export const DIGEST_BYTES = 8;

/** The digest of `ticketId`: the first bytes of SHA-256 over `salt`, the bytes of that of the event, and the id. */
export function ticketDigest(salt, ticketId) {
  const id = new TextEncoder().encode(ticketId);
  const salted = new Uint8Array(salt.length + id.length);
  salted.set(salt);
  salted.set(id, salt.length);
  return sha256(salted).subarray(0, DIGEST_BYTES);
}

/** The bytes that `text` stands for. */
export function fromBase64Url(text) {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** A digest as text, as `GET /attendance/{id}/changes` writes it. */
export function toBase64Url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}
