/** The command line. Exit codes: 0 done, 1 failed, 2 wrong usage. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { toFault } from '../shared/errors.js';
import { packageRoot } from '../shared/packageRoot.js';
import { type BenchOptions, bench } from './bench.js';
import { type ChatOptions, chat } from './chat.js';
import type { ApiTarget } from './client.js';
import { doctor } from './doctor.js';
import { listModels } from './models.js';
import { formatFault } from './output.js';
import { status } from './status.js';
import { up } from './up.js';
import { addUpOptions, DEFAULT_API_PORT, defaultHome, readUpOptions } from './upOptions.js';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command('shoal')
  .description('One AI cluster out of the machines that you already own.')
  .version(productVersion())
  .showHelpAfterError('(see --help)')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride();

addUpOptions(program.command('up'), hostname())
  .description('start a node and stay in the foreground')
  .addHelpText(
    'after',
    `
Every option can also stand in the environment (SHOAL_API_PORT=8080) or in config.json in the home folder
({"api-port": 8080, "serve": ["shoal-guide"]}). A flag wins over the environment, the environment over the file.
Ctrl-C lets running requests end for up to 5 s; a second Ctrl-C ends at once.`,
  )
  .action((_, command: Command) => up(readUpOptions(command)));

interface TargetOptions extends ApiTarget {
  readonly json: boolean;
}

withTarget(program.command('chat'))
  .description('talk to a model')
  .argument('<model>', 'a model that is being served')
  .argument('[prompt]', 'one question; without it, a conversation')
  .option('--system <text>', 'system message')
  .option('--max-tokens <count>', 'longest answer in tokens')
  .option('--temperature <number>', '0 = always the likeliest token')
  .option('--seed <number>', 'same seed, same answer')
  .action((model: string, prompt: string | undefined, options: TargetOptions & ChatOptions) =>
    chat(model, prompt, options),
  );

withTarget(program.command('status'))
  .description('nodes, models and runners, and what is wrong with them')
  .action((options: TargetOptions) => status(options));

const models = program.command('models').description('models and what they need');
withTarget(models.command('list', { isDefault: true }))
  .description('every model that a node knows, what it needs, and why it cannot run if it cannot')
  .option(
    '--models <dir>',
    'look into this folder, without a node; may be repeated',
    (dir: string, all: string[]) => [...all, dir],
    [],
  )
  .action((options: TargetOptions & { models: string[] }) => listModels(options));

withTarget(program.command('bench'))
  .description('measure a model that is being served')
  .argument('<model>')
  .option('--prompt-tokens <count>', 'about this many tokens of prompt', '512')
  .option('--max-tokens <count>', 'tokens to generate in each stream', '64')
  .option('--concurrency <count>', 'streams side by side', '1')
  .option('--rounds <count>', 'repetitions', '3')
  .action((model: string, options: TargetOptions & BenchOptions) => bench(model, options));

program
  .command('doctor')
  .description('check this machine: Node.js, engine, memory, home folder, ports')
  .option('--json', 'print JSON', false)
  .addOption(
    new Option('--home <dir>', 'home folder of the node')
      .default(defaultHome(), '~/.shoal')
      .env('SHOAL_HOME'),
  )
  .action((options: { json: boolean; home: string }) => doctor(options));

function withTarget(command: Command): Command {
  return command
    .addOption(
      new Option('--url <url>', 'address of a node')
        .default(`http://127.0.0.1:${DEFAULT_API_PORT}`)
        .env('SHOAL_URL'),
    )
    .addOption(new Option('--api-key <key>', 'key of the API, where it needs one').env('SHOAL_CLIENT_KEY'))
    .option('--json', 'print JSON', false);
}

function productVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string })
    .version;
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    const fault = toFault(error);
    process.stderr.write(`${formatFault(fault)}\n`);
    if (fault.code === 'internal_error' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = EXIT_FAILED;
  }
}
