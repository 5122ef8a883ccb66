/** Sums in f32. Each addition is rounded, so the order of the terms decides the last bits. */

/** Adds the terms to `total`, one after the other. */
export function addInOrder(total: Float32Array, terms: readonly Float32Array[]): void {
  for (const term of terms) {
    for (let index = 0; index < total.length; index += 1) total[index] = total[index]! + term[index]!;
  }
}

/** Writes `first + second` to `target`, which may be one of them. */
export function writeSum(target: Float32Array, first: Float32Array, second: Float32Array): void {
  for (let index = 0; index < target.length; index += 1) target[index] = first[index]! + second[index]!;
}
