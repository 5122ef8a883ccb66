/** A bound for a busy machine, not a measure of speed. */
const GIVE_UP_MS = 30_000;

/** Lets everything that is on its way arrive, until a condition holds. @throws after a bound */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
