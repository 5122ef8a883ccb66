/** The options of `shoal up`: each as flag, environment variable and entry of the configuration file. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ShoalError } from '../shared/errors.js';
import { LOG_LEVELS, type LogLevel } from '../telemetry/log.js';

export interface UpOptions {
  readonly name: string;
  readonly home: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly apiKey: readonly string[];
  readonly allowOrigin: readonly string[];
  readonly insecure: boolean;
  /** Address to listen on for links of other nodes; null = all. */
  readonly peerHost: string | null;
  /** Null = the default, or any free one when that is taken. */
  readonly peerPort: number | null;
  readonly token: string | null;
  readonly peer: readonly string[];
  readonly discovery: boolean;
  readonly worker: boolean;
  readonly api: boolean;
  readonly offline: boolean;
  readonly serve: readonly string[];
  readonly models: readonly string[];
  readonly memory: number | null;
  readonly context: number | null;
  readonly sequences: number | null;
  readonly threads: number | null;
  readonly gpuLayers: number;
  readonly failpoints: boolean;
  readonly logLevel: LogLevel;
  readonly logJson: boolean;
}

export const DEFAULT_API_PORT = 52_415;
const ALL_LAYERS = 999;

export const defaultHome = (): string => join(homedir(), '.shoal');

const collect = (value: string, previous: readonly string[] | undefined): string[] => [
  ...(previous ?? []),
  value,
];

/** Adds the options to a command. What a flag does not say comes from the environment, then from the file. */
export function addUpOptions(command: Command, hostname: string): Command {
  const options = [
    new Option('--name <name>', 'name of this node').default(hostname),
    new Option('--home <dir>', 'folder for everything that this node stores').default(
      defaultHome(),
      '~/.shoal',
    ),
    new Option('--api-host <host>', 'address of the API; other than loopback needs --api-key').default(
      '127.0.0.1',
    ),
    new Option('--api-port <port>', 'port of the API; 0 = any free one')
      .default(DEFAULT_API_PORT)
      .argParser(port),
    new Option('--api-key <key>', 'a key that clients must send; may be repeated').argParser(collect),
    new Option('--allow-origin <origin>', 'web origin that may call the API; may be repeated').argParser(
      collect,
    ),
    new Option('--insecure', 'allow an --api-host beyond loopback without any --api-key').default(false),
    new Option(
      '--peer-host <host>',
      'address to listen on for links of other nodes; all when it is not given',
    ),
    new Option('--peer-port <port>', 'port for links of other nodes; 0 = any free one; 52416, or any when taken').argParser(
      port,
    ),
    new Option('--token <token>', 'join the cluster of this token (see `shoal token`)'),
    new Option('--peer <address>', 'HOST:PORT of a node to link with; may be repeated').argParser(collect),
    new Option('--no-discovery', 'neither announce this node on the network nor look for others there'),
    new Option('--no-worker', 'run no model on this node'),
    new Option('--no-api', 'serve no HTTP on this node'),
    new Option('--offline', 'never contact the internet').default(false),
    new Option('--serve <model>', 'model to serve: a name of `shoal models list`, or a file').argParser(
      collect,
    ),
    new Option('--models <dir>', 'folder with GGUF files, read only; may be repeated').argParser(collect),
    new Option('--memory <bytes>', 'memory that this node offers, such as 6000000000 or 6G').argParser(bytes),
    new Option('--context <tokens>', 'context of one sequence').argParser(positive),
    new Option('--sequences <count>', 'sequences decoded side by side').argParser(positive),
    new Option('--threads <count>', 'threads that a model computes with').argParser(positive),
    new Option('--gpu-layers <count>', 'layers on the GPU, where there is one')
      .default(ALL_LAYERS)
      .argParser(count),
    new Option('--failpoints', 'allow faults to be caused on purpose; for tests only').default(false),
    new Option('--log-level <level>', 'least level of log lines; info with --log-json, else warn').choices(
      LOG_LEVELS,
    ),
    new Option('--log-json', 'write log lines as JSON; the first line tells the addresses').default(false),
  ];
  for (const option of options) command.addOption(option.env(environmentName(option.long ?? '')));
  return command;
}

/** The values in force, from flags, environment and `config.json` in the home folder, in this order. */
export function readUpOptions(command: Command): UpOptions {
  const home = command.opts<{ home: string }>().home;
  applyFile(command, join(home, 'config.json'));
  const given = command.opts<Partial<UpOptions>>();
  return {
    ...(given as UpOptions),
    apiKey: given.apiKey ?? [],
    allowOrigin: given.allowOrigin ?? [],
    peerHost: given.peerHost ?? null,
    peerPort: given.peerPort ?? null,
    token: given.token ?? null,
    peer: given.peer ?? [],
    serve: given.serve ?? [],
    models: given.models ?? [],
    memory: given.memory ?? null,
    context: given.context ?? null,
    sequences: given.sequences ?? null,
    threads: given.threads ?? null,
    logLevel: given.logLevel ?? (given.logJson ? 'info' : 'warn'),
  };
}

/** Fills in what neither flag nor environment gave. The file has the long option names without dashes in front. */
function applyFile(command: Command, path: string): void {
  if (!existsSync(path)) return;
  const options = new Map(command.options.map((option) => [option.long?.slice(2), option]));
  for (const [key, value] of Object.entries(readConfig(path))) {
    const option = options.get(key);
    if (option === undefined) {
      throw new ShoalError('invalid_request', `${path}: there is no option "${key}"; see shoal up --help`);
    }
    const name = option.attributeName();
    const source = command.getOptionValueSource(name);
    if (source === 'cli' || source === 'env') continue;
    command.setOptionValueWithSource(name, parseConfigValue(path, option, value), 'config');
  }
}

function parseConfigValue(path: string, option: Option, value: unknown): unknown {
  if (option.negate) return value !== true;
  if (option.isBoolean()) return value === true;
  const parse = (entry: unknown, previous: unknown): unknown => {
    if (typeof entry !== 'string' && typeof entry !== 'number') {
      throw new ShoalError('invalid_request', `${path}: "${option.long?.slice(2)}" must be text or a number`);
    }
    return option.parseArg ? option.parseArg(String(entry), previous as never) : String(entry);
  };
  try {
    if (!Array.isArray(value)) return parse(value, undefined);
    return value.reduce((previous: unknown, entry) => parse(entry, previous), undefined);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw new ShoalError(
      'invalid_request',
      `${path}: "${option.long?.slice(2)}": ${(error as Error).message}`,
    );
  }
}

function readConfig(path: string): Record<string, unknown> {
  try {
    const config: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (config !== null && typeof config === 'object' && !Array.isArray(config))
      return config as Record<string, unknown>;
    throw new Error('it must be one JSON object');
  } catch (error) {
    throw new ShoalError('invalid_request', `${path} cannot be read: ${(error as Error).message}`);
  }
}

function environmentName(flag: string): string {
  return `SHOAL_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
}

function whole(text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  }
  return value;
}

const port = (text: string): number => whole(text, 0, 65_535);
const positive = (text: string): number => whole(text, 1, 1_000_000_000);
const count = (text: string): number => whole(text, 0, 1_000_000_000);

/** Bytes, with the usual binary suffixes. */
function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (match === null) throw new InvalidArgumentError('It must be bytes, such as 6000000000, 512M or 6G.');
  return Math.round(
    Number(match[1]) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf((match[2] ?? '').toUpperCase()),
  );
}
