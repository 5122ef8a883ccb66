/** "Did you mean …?" */

/** Longer names are compared by their beginnings. */
const COMPARED_CHARACTERS = 64;
/** A name that contains the other is meant when the shorter one has this many characters. */
const LEAST_PART_CHARACTERS = 3;
/** A name is meant when at most this share of its characters has to change. */
const CHANGED_SHARE = 1 / 3;

/** The known name that was most likely meant, or null when none is close. */
export function closestName(name: string, known: readonly string[]): string | null {
  const wanted = name.toLowerCase().slice(0, COMPARED_CHARACTERS);
  if (wanted === '') return null;
  const scored = known.map((candidate) => {
    const given = candidate.toLowerCase().slice(0, COMPARED_CHARACTERS);
    const shorter = Math.min(wanted.length, given.length);
    const isPart = shorter >= LEAST_PART_CHARACTERS && (given.includes(wanted) || wanted.includes(given));
    return {
      candidate,
      share: isPart ? 0 : editDistance(wanted, given) / Math.max(wanted.length, given.length),
    };
  });
  const best = scored.sort((a, b) => a.share - b.share)[0];
  return best !== undefined && best.share <= CHANGED_SHARE ? best.candidate : null;
}

/** Characters to insert, remove or replace (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
