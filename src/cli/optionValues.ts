/** Reads the values of options: what people type becomes numbers, bytes and addresses, or a reason why not. */
import { InvalidArgumentError } from 'commander';
import { formatAddress, parseAddress } from '../cluster/link/addresses.js';
import { DEFAULT_PEER_PORT } from '../cluster/link/tlsPeerLinks.js';

const MOST_PORT = 65_535;
const MOST = 1_000_000_000;
const OFF: ReadonlySet<string> = new Set(['', '0', 'false', 'no', 'off']);
const ON: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'on']);

/** For options that may be repeated. */
export const collect = (value: string, previous: readonly string[] | undefined): string[] => [
  ...(previous ?? []),
  value,
];

export const port = (text: string): number => whole(text, 0, MOST_PORT);
export const positive = (text: string): number => whole(text, 1, MOST);
export const count = (text: string): number => whole(text, 0, MOST);
export const seed = (text: string): number => whole(text, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number.');
}

/** Where a node's API is. */
export function nodeUrl(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  if (protocol === 'http:' || protocol === 'https:') return text;
  throw new InvalidArgumentError('It must be an address such as http://127.0.0.1:52415.');
}

/** Bytes, with the usual binary suffixes. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (match === null) throw new InvalidArgumentError('It must be bytes, such as 6000000000, 512M or 6G.');
  return Math.round(
    Number(match[1]) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf((match[2] ?? '').toUpperCase()),
  );
}

/** `HOST`, `HOST:PORT` or `[IPV6]:PORT`, each as `HOST:PORT`; may be repeated. */
export function addresses(text: string, previous: readonly string[] | undefined): string[] {
  try {
    return collect(formatAddress(parseAddress(text, DEFAULT_PEER_PORT)), previous);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

/** Nodes with commas between them; may be repeated. */
export function nodeNames(text: string, previous: readonly string[] | undefined): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes(''))
    throw new InvalidArgumentError('It must be names or ids of nodes, such as desk,laptop.');
  return [...(previous ?? []), ...names];
}

/** A flag as people write it in the environment; null when it is neither on nor off. */
export function onOrOff(text: string): boolean | null {
  const word = text.trim().toLowerCase();
  if (OFF.has(word)) return false;
  return ON.has(word) ? true : null;
}

function whole(text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  }
  return value;
}
