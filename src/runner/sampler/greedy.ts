/** Token with the highest logit, the lowest id among equals; −1 when there is none or a logit is not a number. */
export function greatest(logits: Float32Array): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (logit > most) {
      most = logit;
      best = token;
    } else if (Number.isNaN(logit)) {
      return -1;
    }
  }
  return most === Number.POSITIVE_INFINITY ? -1 : best;
}
