/**
 * Random numbers by counter: each is a hash of (seed, position), so a stream can go on at any token, in any process
 * and in any order. The hash is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * 32-bit integer arithmetic only, the same on every machine.
 */
const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const UINT32 = 2 ** 32;
const UINT64_MASK = (1n << 64n) - 1n;

export type Words2 = readonly [number, number];
export type Words4 = readonly [number, number, number, number];

/**
 * The key of one choice: `seed + choice` as a 64-bit integer, low word first. The sum is taken on integers, so that
 * neighbours differ although a number above 2^53 has no room for the 1. Negative seeds wrap around; a fraction is
 * cut off.
 */
export function seedKey(seed: number, choice: number): Words2 {
  const key = (BigInt(Math.trunc(seed)) + BigInt(choice)) & UINT64_MASK;
  return [Number(key & 0xffffffffn), Number(key >> 32n)];
}

/** A number in [0, 1) with 53 random bits. @param position of the token in its sequence, prompt included */
export function uniform(key: Words2, position: number): number {
  const words = philox([position >>> 0, Math.floor(position / UINT32) >>> 0, 0, 0], key);
  return ((words[0] >>> 5) * 2 ** 26 + (words[1] >>> 6)) / 2 ** 53;
}

/** Philox4x32-10 of a 128-bit counter under a 64-bit key. */
export function philox(counter: Words4, key: Words2): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(left: number, right: number): number {
  const leftHigh = left >>> 16;
  const leftLow = left & 0xffff;
  const rightHigh = right >>> 16;
  const rightLow = right & 0xffff;
  const middle = leftHigh * rightLow + Math.floor((leftLow * rightLow) / 65536);
  const carry = leftLow * rightHigh + (middle % 65536);
  return leftHigh * rightHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536);
}
