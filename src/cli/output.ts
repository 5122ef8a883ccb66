/** What commands print: tables for people, sizes with units, errors with what to do. */
import { ERRORS, type ErrorCode, type Fault } from '../shared/errors.js';

/** Columns padded to their widest entry. Control characters of foreign names do not reach the terminal. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(printable));
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One line of at most so many characters; the last is an ellipsis where something is missing. */
export function clip(text: string, most: number): string {
  const characters = [...text.replace(/\s+/g, ' ')];
  return characters.length <= most ? characters.join('') : `${characters.slice(0, most - 1).join('')}…`;
}

/** Lines of at most so many characters, cut between words and indented; a longer word has a line of its own. */
export function wrap(text: string, columns: number, indent = ''): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line !== indent && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** The text without control characters, so that names and model output cannot steer the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it removes
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u{FFFD}');
}

/** Codes whose advice is for programs that call the API; on the command line the message itself says what to do. */
const ADVICE_FOR_PROGRAMS: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'not_found',
  'not_ready',
  'no_instance',
  'all_instances_failed',
]);

/** What and why, node by node where that is known, then what to do. */
export function formatFault({ code, message, details }: Fault): string {
  const reasons = nodeReasons(details?.nodes).map((line) => `\n  ${line}`);
  const advice = ADVICE_FOR_PROGRAMS.has(code) ? '' : `\n  ${ERRORS[code].remedy}`;
  return printable(`shoal: ${message} (${code})${reasons.join('')}${advice}`);
}

const NAME_CHARACTERS = 30;

/** What a refused placement says of each node; the answer of another node need not have the form that it should. */
function nodeReasons(nodes: unknown): string[] {
  if (!Array.isArray(nodes)) return [];
  return nodes.flatMap((node: { name?: unknown; reason?: unknown } | null) => {
    const { name, reason } = node ?? {};
    if (typeof name !== 'string' || typeof reason !== 'string') return [];
    return [`${clip(name, NAME_CHARACTERS)}: ${clip(reason, reason.length)}`];
  });
}
