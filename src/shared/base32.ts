/** Base 32 in lower case (RFC 4648 without padding): keys and ids that people read aloud and type. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const BITS = 5;

export function toBase32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let heldBits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    heldBits += 8;
    while (heldBits >= BITS) {
      heldBits -= BITS;
      text += ALPHABET[(held >> heldBits) & 31];
      held &= (1 << heldBits) - 1;
    }
  }
  return heldBits === 0 ? text : text + ALPHABET[(held << (BITS - heldBits)) & 31];
}

/** @returns null when a character is not of the alphabet, or the text is not what `toBase32` makes */
export function fromBase32(text: string): Buffer | null {
  const bytes = Buffer.alloc(Math.floor((text.length * BITS) / 8));
  let held = 0;
  let heldBits = 0;
  let position = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return null;
    held = (held << BITS) | digit;
    heldBits += BITS;
    if (heldBits < 8) continue;
    heldBits -= 8;
    bytes[position] = held >> heldBits;
    position += 1;
    held &= (1 << heldBits) - 1;
  }
  return held === 0 && heldBits < BITS ? bytes : null;
}
