/** One log line for people: time, level, message, then the facts. */

const COLOURS: Readonly<Record<string, number>> = {
  trace: 90,
  debug: 90,
  info: 32,
  warn: 33,
  error: 31,
  fatal: 31,
};
const DIM = 90;
const LEVEL_WIDTH = 5;
const TIME = /T(\d\d:\d\d:\d\d)/;

export class LineFormatter {
  readonly #colours: boolean;

  constructor(colours: boolean) {
    this.#colours = colours;
  }

  /** @param line one line of JSON as pino writes it; anything else is passed on as it is */
  format(line: string): string {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(line) as Record<string, unknown>;
    } catch {
      // Not from pino: better shown raw than lost.
      return line;
    }
    const { level, time, msg, err, ...facts } = fields;
    const name = String(level);
    const clock = TIME.exec(String(time))?.[1] ?? String(time);
    const rest = Object.entries(facts).map(([key, value]) => `${key}=${shown(value)}`);
    const head = `${this.#paint(clock, DIM)} ${this.#paint(name.padEnd(LEVEL_WIDTH), COLOURS[name] ?? DIM)}`;
    const text = [head, String(msg ?? ''), ...rest.map((fact) => this.#paint(fact, DIM))].join(' ');
    return `${text}${stackOf(err)}\n`;
  }

  #paint(text: string, colour: number): string {
    return this.#colours ? `\u001b[${colour}m${text}\u001b[0m` : text;
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' && !/[\s"]/.test(value) ? value : JSON.stringify(value);
}

function stackOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  return `\n  ${String(stack ?? message).replaceAll('\n', '\n  ')}`;
}
