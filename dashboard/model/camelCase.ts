/** The API's snake_case back in the words of the code. The other way is `toWire` in `src/control/view.ts`. */

/** Field names of all objects in it; what is a map by id must not be given whole, its keys are no names. */
export function fromWire(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromWire);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [camelCase(name), fromWire(entry)]));
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Milliseconds since the epoch; 0 for what is no time, which no version says. */
export function readTime(value: unknown): number {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? 0 : at;
}

export function readTimeOrNull(value: unknown): number | null {
  return value == null ? null : readTime(value);
}
