/**
 * Partial sorting: finds the front of an order without sorting the rest. Heavier comes first and the lower index
 * among equals, so that the order is total and the result the same everywhere.
 */
function isBefore(weights: Float64Array, left: number, right: number): boolean {
  const leftWeight = weights[left]!;
  const rightWeight = weights[right]!;
  return leftWeight > rightWeight || (leftWeight === rightWeight && left < right);
}

/**
 * Moves to the front of `order` its shortest prefix, heaviest first, that has `count` members or the weight `mass`,
 * with the least member of the prefix at its end; returns the prefix's length, at least 1. Takes linear time: like
 * quickselect, with the middle of three as pivot.
 * @param order distinct indices into `weights`; permuted in place
 */
export function selectPrefix(order: Int32Array, weights: Float64Array, count: number, mass: number): number {
  let low = 0;
  let high = order.length;
  let massBefore = 0;
  while (high - low > 1) {
    const pivot = partition(order, weights, low, high);
    let massThrough = massBefore;
    for (let at = low; at <= pivot; at++) massThrough += weights[order[at]!]!;
    if (pivot + 1 >= count || massThrough >= mass) {
      // The prefix ends at the pivot or before it.
      if (pivot + 1 === high) {
        const withoutPivot = massThrough - weights[order[pivot]!]!;
        if (pivot < count && withoutPivot < mass) return pivot + 1;
        high = pivot;
      } else {
        high = pivot + 1;
      }
    } else {
      low = pivot + 1;
      massBefore = massThrough;
    }
  }
  return Math.min(low + 1, order.length);
}

/** Puts everything before the pivot on its left; returns where the pivot stands. */
function partition(order: Int32Array, weights: Float64Array, low: number, high: number): number {
  const last = high - 1;
  swap(order, middleOfThree(order, weights, low, (low + last) >>> 1, last), last);
  const pivot = order[last]!;
  let end = low;
  for (let at = low; at < last; at++) {
    if (!isBefore(weights, order[at]!, pivot)) continue;
    swap(order, at, end);
    end += 1;
  }
  swap(order, end, last);
  return end;
}

function middleOfThree(order: Int32Array, weights: Float64Array, a: number, b: number, c: number): number {
  const aFirst = isBefore(weights, order[a]!, order[b]!);
  const [first, second] = aFirst ? [a, b] : [b, a];
  if (isBefore(weights, order[second]!, order[c]!)) return second;
  return isBefore(weights, order[first]!, order[c]!) ? c : first;
}

function swap(order: Int32Array, left: number, right: number): void {
  const kept = order[left]!;
  order[left] = order[right]!;
  order[right] = kept;
}
