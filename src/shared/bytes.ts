const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size for people, such as `1.5 GiB`. */
export function formatBytes(value: number): string {
  let amount = value;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}
