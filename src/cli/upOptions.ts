/** The options of `shoal up` and `shoal join`: each as flag, environment variable and entry of the configuration file. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { parseToken } from '../cluster/joinToken.js';
import { DEFAULT_PEER_PORT } from '../cluster/link/tlsPeerLinks.js';
import { LOG_LEVELS, type LogLevel } from '../telemetry/log.js';
import { applyConfigFile } from './configFile.js';
import { addresses, bytes, collect, count, onOrOff, port, positive } from './optionValues.js';

export interface UpOptions {
  readonly name: string;
  readonly home: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly apiKey: readonly string[];
  readonly allowOrigin: readonly string[];
  readonly insecure: boolean;
  /** Address on which links of other nodes are taken; null = all of this machine, IPv4 and IPv6. */
  readonly peerHost: string | null;
  /** 0 = any free one; null = the default, or any free one when that is taken. */
  readonly peerPort: number | null;
  /** Join token of the cluster; null = the one that the home belongs to, or a new one. */
  readonly token: string | null;
  /** `HOST:PORT` of nodes to link with. */
  readonly peer: readonly string[];
  /** Announce this node on the network, and look for others there? */
  readonly discovery: boolean;
  /** Run models on this node? */
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
  /** Measure how fast this machine computes, once? */
  readonly benchmark: boolean;
  readonly failpoints: boolean;
  readonly logLevel: LogLevel;
  readonly logJson: boolean;
}

export const DEFAULT_API_PORT = 52_415;
export const ALL_LAYERS = 999;

export const defaultHome = (): string => join(homedir(), '.shoal');

/** Adds the options to a command. What a flag does not say comes from the environment, then from the file. */
export function addUpOptions(command: Command, hostname: string): Command {
  for (const option of [...nodeOptions(hostname), ...peerOptions(), ...modelOptions(), ...otherOptions()]) {
    command.addOption(option.env(environmentName(option.long ?? '')));
  }
  return command;
}

function nodeOptions(hostname: string): Option[] {
  return [
    new Option('--name <name>', 'name of this node').default(hostname),
    homeOption('folder for everything that this node stores'),
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
    new Option('--no-api', 'serve no HTTP on this node'),
  ];
}

function peerOptions(): Option[] {
  return [
    new Option(
      '--peer-host <host>',
      'address on which other nodes of the cluster reach this one (default: every address of this machine; ' +
        'whoever connects must prove that it has the join token)',
    ),
    new Option(
      '--peer-port <port>',
      `port on which other nodes reach this one; 0 = any free one (default: ${DEFAULT_PEER_PORT}, ` +
        'or any free one when that is taken)',
    ).argParser(port),
    new Option(
      '--token <token>',
      'join the cluster of this token, which `shoal token` prints on a machine of it; needed once, the home ' +
        'keeps it; the environment hides it from the list of processes',
    ),
    new Option(
      '--peer <host:port>',
      'a node to link with, where discovery does not find it; may be repeated',
    ).argParser(addresses),
    new Option('--no-discovery', 'neither announce this node on the network nor look for others there'),
  ];
}

function modelOptions(): Option[] {
  return [
    new Option(
      '--serve <model>',
      'model to serve: a name of `shoal models list`, or a file; may be repeated',
    ).argParser(collect),
    new Option('--models <dir>', 'folder with GGUF files, read only; may be repeated').argParser(collect),
    new Option('--memory <bytes>', 'memory that this node offers, such as 6000000000 or 6G').argParser(bytes),
    new Option('--context <tokens>', 'context of one sequence').argParser(positive),
    new Option('--sequences <count>', 'sequences decoded side by side').argParser(positive),
    new Option('--threads <count>', 'threads that a model computes with').argParser(positive),
    new Option('--gpu-layers <count>', 'layers on the GPU, where there is one')
      .default(ALL_LAYERS)
      .argParser(count),
    new Option('--benchmark').default(true).hideHelp(),
    new Option('--no-benchmark', 'do not measure how fast this machine computes; it then counts as slow'),
    new Option('--no-worker', 'run no model on this node: it takes requests and passes them on'),
    new Option('--offline', 'never contact the internet; today no part of Shoal does').default(false),
  ];
}

function otherOptions(): Option[] {
  return [
    new Option('--failpoints', 'allow faults to be caused on purpose; for tests only').default(false),
    new Option('--log-level <level>', 'least level of log lines; info with --log-json, else warn').choices(
      LOG_LEVELS,
    ),
    new Option('--log-json', 'write log lines as JSON; the first line tells the addresses').default(false),
  ];
}

/** `--home`, which other commands have as well. */
export function homeOption(description: string): Option {
  return new Option('--home <dir>', description).default(defaultHome(), '~/.shoal').env('SHOAL_HOME');
}

/**
 * The values in force, from flags, environment and `config.json` in the home folder, in this order.
 * @param token the argument of `shoal join`, which wins over all of them
 */
export function readUpOptions(command: Command, token?: string): UpOptions {
  readEnvironmentFlags(command);
  applyConfigFile(command, join(command.opts<{ home: string }>().home, 'config.json'));
  const given = command.opts<Partial<UpOptions>>();
  if (given.worker === false && (given.serve ?? []).length > 0) {
    command.error(
      'error: --serve runs a model on this node, which --no-worker forbids; leave one of them out',
    );
  }
  return {
    ...(given as UpOptions),
    apiKey: given.apiKey ?? [],
    allowOrigin: given.allowOrigin ?? [],
    peerHost: given.peerHost ?? null,
    peerPort: given.peerPort ?? null,
    token: checkToken(command, token ?? given.token ?? null),
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

/** To commander a flag in the environment is on whatever it says; here `SHOAL_INSECURE=0` is off. */
function readEnvironmentFlags(command: Command): void {
  for (const option of command.options) {
    const name = option.attributeName();
    const variable = option.envVar;
    if (variable === undefined || !(option.isBoolean() || option.negate)) continue;
    if (command.getOptionValueSource(name) !== 'env') continue;
    const isOn = onOrOff(process.env[variable] ?? '');
    if (isOn === null) command.error(`error: ${variable} must be 1 or 0, not "${process.env[variable]}"`);
    command.setOptionValueWithSource(name, isOn !== option.negate, 'env');
  }
}

/** Wrong usage, said without a word of the token: it may be right but for one character. */
function checkToken(command: Command, token: string | null): string | null {
  if (token === null) return null;
  try {
    parseToken(token);
    return token;
  } catch (error) {
    return command.error(`error: ${(error as Error).message}`);
  }
}

function environmentName(flag: string): string {
  return `SHOAL_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
}
