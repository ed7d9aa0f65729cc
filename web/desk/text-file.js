// Files as spreadsheets on Windows save them: not all of them are UTF-8.

/** Bytes of a file as text: `{text, encoding}`; `null` for a workbook, which is no text. */
export function readText(bytes) {
  const [first, second] = bytes;
  // A ZIP archive (xlsx, ods), or the container of an old xls.
  if ((first === 0x50 && second === 0x4b) || (first === 0xd0 && second === 0xcf)) return null;
  if (first === 0xff && second === 0xfe) return decoded(bytes, 'utf-16le');
  if (first === 0xfe && second === 0xff) return decoded(bytes, 'utf-16be');
  try {
    return decoded(bytes, 'utf-8');
  } catch {
    return decoded(bytes, 'windows-1252');
  }
}

function decoded(bytes, encoding) {
  return { text: new TextDecoder(encoding, { fatal: encoding === 'utf-8' }).decode(bytes), encoding };
}
