/** Lets everything that is on its way arrive, until a condition holds. @throws after a bound */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
