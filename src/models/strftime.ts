/** Python's `strftime`, as far as chat templates use it: for the date that they tell the model. */
const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const SHORT_NAME_LENGTH = 3;

const padded = (value: number) => String(value).padStart(2, '0');

const FIELDS: Readonly<Record<string, (time: Date) => string>> = {
  '%Y': (time) => String(time.getUTCFullYear()),
  '%y': (time) => padded(time.getUTCFullYear() % 100),
  '%m': (time) => padded(time.getUTCMonth() + 1),
  '%d': (time) => padded(time.getUTCDate()),
  '%e': (time) => String(time.getUTCDate()).padStart(2, ' '),
  '%-d': (time) => String(time.getUTCDate()),
  '%B': (time) => MONTHS[time.getUTCMonth()]!,
  '%b': (time) => MONTHS[time.getUTCMonth()]!.slice(0, SHORT_NAME_LENGTH),
  '%A': (time) => DAYS[time.getUTCDay()]!,
  '%a': (time) => DAYS[time.getUTCDay()]!.slice(0, SHORT_NAME_LENGTH),
  '%H': (time) => padded(time.getUTCHours()),
  '%I': (time) => padded(time.getUTCHours() % 12 || 12),
  '%p': (time) => (time.getUTCHours() < 12 ? 'AM' : 'PM'),
  '%M': (time) => padded(time.getUTCMinutes()),
  '%S': (time) => padded(time.getUTCSeconds()),
  '%F': (time) => time.toISOString().slice(0, 'YYYY-MM-DD'.length),
  '%T': (time) => time.toISOString().slice('YYYY-MM-DDT'.length, 'YYYY-MM-DDTHH:MM:SS'.length),
  '%Z': () => 'UTC',
  '%%': () => '%',
};

/** In UTC and English, so that every machine renders the same prompt. Unknown fields stay as they are. */
export function formatTime(time: Date, format: string): string {
  return format.replace(/%-?[A-Za-z%]/g, (field) => FIELDS[field]?.(time) ?? field);
}
