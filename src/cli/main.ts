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
import { type DeployOptions, deploy } from './deploy.js';
import { doctor } from './doctor.js';
import { forget } from './forget.js';
import { deleteInstance, listInstances, retryMetaInstance } from './instances.js';
import { listModels } from './models.js';
import { nodeNames, nodeUrl, number, positive, seed } from './optionValues.js';
import { formatFault } from './output.js';
import { status } from './status.js';
import { token } from './token.js';
import { addUpOptions, DEFAULT_API_PORT, homeOption, readUpOptions, type UpOptions } from './upOptions.js';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command('shoal')
  .description('One AI cluster out of the machines that you already own.')
  .version(productVersion())
  .showHelpAfterError('(see --help)')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride();

/** Only a node needs the whole program; without it the other commands start in half the time. */
const up = async (options: UpOptions): Promise<void> => (await import('./up.js')).up(options);

const ABOUT_OPTIONS = `
Every option can also stand in the environment (SHOAL_API_PORT=8080, SHOAL_NO_DISCOVERY=1) or in config.json in the
home folder ({"api-port": 8080, "serve": ["shoal-guide"], "no-discovery": true}). A flag wins over the environment, the
environment over the file. Ctrl-C lets running requests end for up to 5 s; a second Ctrl-C ends at once.`;

addUpOptions(program.command('up'), hostname())
  .description('start a node and stay in the foreground')
  .addHelpText(
    'after',
    `
Nodes with the same join token become one cluster by themselves: those on one network find each other, others are named
with --peer. Links are encrypted, and only who proves to have the token gets one. A second node on the same machine needs
a home and an API port of its own: shoal join TOKEN --home ~/.shoal-2 --api-port 0 --name second
${ABOUT_OPTIONS}`,
  )
  .action((_, command: Command) => up(readUpOptions(command)));

addUpOptions(program.command('join'), hostname())
  .description('start a node that joins the cluster of a token: the same as up --token TOKEN')
  .argument(
    '[token]',
    'what `shoal token` prints on a machine of the cluster; may be left out with SHOAL_TOKEN',
  )
  .addHelpText(
    'after',
    `
It is needed once: the home folder keeps the token, and shoal up comes back into the same cluster.
${ABOUT_OPTIONS}`,
  )
  .action((given: string | undefined, _, command: Command) => {
    const options = readUpOptions(command, given);
    if (options.token === null) command.error("error: missing required argument 'token'");
    return up(options);
  });

program
  .command('token')
  .description("print the join token of this machine's cluster; a secret: whoever has it can join")
  .addOption(homeOption('home folder of a node of the cluster'))
  .option('--json', 'print JSON', false)
  .action((options: { home: string; json: boolean }) => token(options));

interface TargetOptions extends ApiTarget {
  readonly json: boolean;
}

withTarget(program.command('chat'))
  .description('talk to a model')
  .argument('<model>', 'a model that is being served')
  .argument('[prompt]', 'one question; without it, a conversation')
  .option('--system <text>', 'system message')
  .option('--max-tokens <count>', 'longest answer in tokens', positive)
  .option('--temperature <number>', '0 = always the likeliest token', number)
  .option('--seed <number>', 'same seed, same answer', seed)
  .action((model: string, prompt: string | undefined, options: TargetOptions & ChatOptions) =>
    chat(model, prompt, options),
  );

withTarget(program.command('status'))
  .description('nodes, links, models and runners of the cluster, and what is wrong with them')
  .action((options: TargetOptions) => status(options));

withTarget(program.command('deploy'))
  .description('say that a model shall run: it is placed where it fits, and kept running until it is deleted')
  .argument('<model>', 'a model of `shoal models list`')
  .addOption(
    new Option('--sharding <kind>', 'how it is divided over several nodes').choices(['Pipeline', 'Tensor']),
  )
  .addOption(new Option('--transport <kind>', 'how several nodes are linked').choices(['Ring', 'Mesh']))
  .addOption(
    new Option('--min-nodes <count>', 'at least so many nodes, also where fewer would do').argParser(
      positive,
    ),
  )
  .addOption(
    new Option('--nodes <nodes>', 'these nodes and no others: names or ids, with commas').argParser(
      nodeNames,
    ),
  )
  .addOption(new Option('--context <tokens>', 'context of one sequence').argParser(positive))
  .addOption(new Option('--sequences <count>', 'sequences decoded side by side').argParser(positive))
  .action((model: string, options: DeployOptions) => deploy(model, options));

withTarget(program.command('instances'))
  .description('what shall run and what runs, on which nodes, and why it does not')
  .action((options: TargetOptions) => listInstances(options));

withTarget(program.command('delete'))
  .description(
    'take back what shall run: its runners are stopped, and with them the requests that they serve',
  )
  .argument('<instance>', 'its id, the first characters of it, or the model when it is served once')
  .action((instance: string, options: TargetOptions) => deleteInstance(instance, options));

withTarget(program.command('retry'))
  .description('try again, now, what has failed too often')
  .argument('<instance>', 'its id, the first characters of it, or the model when it is wanted once')
  .action((instance: string, options: TargetOptions) => retryMetaInstance(instance, options));

withTarget(program.command('forget'))
  .description('drop the record of a dead node that will not come back')
  .argument('<node>', 'its name, its id, or the first characters of it')
  .action((node: string, options: TargetOptions) => forget(node, options));

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
  .option('--prompt-tokens <count>', 'about this many tokens of prompt', positive, 512)
  .option('--max-tokens <count>', 'tokens to generate in each stream', positive, 64)
  .option('--concurrency <count>', 'streams side by side', positive, 1)
  .option('--rounds <count>', 'repetitions', positive, 3)
  .action((model: string, options: TargetOptions & BenchOptions) => bench(model, options));

program
  .command('doctor')
  .description(
    'check this machine: Node.js, engine, speed, memory, clock, home folder, join token, ports, multicast; and whether ' +
      'a node answers at --url, or its port is free',
  )
  .addOption(urlOption())
  .option('--json', 'print JSON', false)
  .addOption(homeOption('home folder of the node'))
  .action((options: { url: string; json: boolean; home: string }) => doctor(options));

function withTarget(command: Command): Command {
  return command
    .addOption(urlOption())
    .addOption(new Option('--api-key <key>', 'key of the API, where it needs one').env('SHOAL_CLIENT_KEY'))
    .option('--json', 'print JSON', false);
}

function urlOption(): Option {
  return new Option('--url <url>', 'address of a node')
    .default(`http://127.0.0.1:${DEFAULT_API_PORT}`)
    .env('SHOAL_URL')
    .argParser(nodeUrl);
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
