/**
 * Makes a fresh clone ready, without any dependency: `npm ci` when node_modules does not match the lockfile, then
 * a build when a source changed, and the same for the dashboard. With `--test` it also sets up what only the tests
 * need. Safe to run twice at once.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forTests = process.argv.includes('--test');
const LOCK_WAIT_MS = 10 * 60_000;
/** For what a node can do without. */
const EXTRA_LIMIT_MS = 5 * 60_000;

class SetupError extends Error {}

requireNode(20, 19);
try {
  await withLock(join(root, '.build', 'setup.lock'), async () => {
    // Side by side: the one waits for the registry while the other compiles.
    const done = await Promise.allSettled([program(), dashboard(), forTests ? chromium() : null]);
    for (const { reason } of done) if (reason !== undefined) throw reason;
  });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  fail(error.message);
}

function requireNode(major, minor) {
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number);
  if (haveMajor > major || (haveMajor === major && haveMinor >= minor)) return;
  fail(`Shoal needs Node.js ${major}.${minor} or newer; this is ${process.versions.node}.`);
}

async function program() {
  await install(root, []);
  if (forTests) await install(join(root, 'test', 'oracle'), ['--omit=optional']);
  await build();
}

/** Installs the packages of a folder unless its node_modules came from this very lockfile, with these flags or none. */
async function install(folder, flags, limitMs) {
  const lockfile = join(folder, 'package-lock.json');
  if (!existsSync(lockfile)) return;
  const stamp = join(folder, 'node_modules', '.shoal-setup');
  const wanted = hash([readFileSync(lockfile), process.platform, process.arch, process.versions.modules]);
  const chosen = flags.join(' ');
  const [installed, installedFlags = ''] = (readIfThere(stamp) ?? '').split('\n');
  if (installed === wanted && (installedFlags === '' || installedFlags === chosen)) return;
  say(`Installing packages${folder === root ? '' : ` in ${folder.slice(root.length + 1)}`} …`);
  await run(
    process.platform === 'win32' ? 'npm.cmd' : 'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...flags],
    folder,
    limitMs,
  );
  writeFileSync(stamp, `${wanted}\n${chosen}`);
}

/** Compiles when a source or the compiler changed; a vanished source clears the output first. */
async function build() {
  const stampFile = join(root, 'dist', '.shoal-build');
  const folders = ['src', 'test', 'bench', 'tools', join('dashboard', 'model')];
  const sources = folders.flatMap((folder) => listSources(join(root, folder)));
  const names = hash(sources);
  const content = hash(
    [...sources, 'tsconfig.json', 'package-lock.json'].map((file) => readFileSync(join(root, file))),
  );
  const [lastNames, lastContent] = (readIfThere(stampFile) ?? '').split('\n');
  if (names === lastNames && content === lastContent) return;
  say('Building …');
  if (names !== lastNames) rmSync(join(root, 'dist'), { recursive: true, force: true });
  await run(process.execPath, [join('node_modules', 'typescript7', 'bin', 'tsc'), '-p', '.'], root);
  writeFileSync(stampFile, `${names}\n${content}`);
}

/** Builds the page that nodes serve. Without it a node starts all the same, with a plain page; tests insist on it. */
async function dashboard() {
  const folder = join(root, 'dashboard');
  const stampFile = join(folder, 'dist', '.shoal-build');
  const shared = ['shared', 'control'].flatMap((room) => listSources(join(root, 'src', room)));
  const sources = [...listSources(folder, /./), ...shared];
  const content = hash(sources.flatMap((file) => [file, readFileSync(join(root, file))]));
  try {
    const isBuilt = readIfThere(stampFile) === content;
    if (isBuilt && !forTests) return;
    await install(folder, forTests ? [] : ['--omit=dev', '--fetch-retries=0'], EXTRA_LIMIT_MS);
    if (isBuilt) return;
    say('Building the dashboard …');
    const vite = join('node_modules', 'vite', 'bin', 'vite.js');
    await run(process.execPath, [vite, 'build', '--logLevel', 'warn'], folder, EXTRA_LIMIT_MS);
    writeFileSync(stampFile, content);
  } catch (error) {
    if (forTests || !(error instanceof SetupError)) throw error;
    say(`${error.message}\nThe dashboard could not be built; the node starts without it.`);
  }
}

/** The browser of the dashboard's tests, where it can be had; they say so when they are skipped. */
async function chromium() {
  const isDebian = process.platform === 'linux' && existsSync('/usr/bin/apt-get');
  if (!isDebian || process.getuid() !== 0 || existsSync('/usr/bin/chromium')) return;
  say('Installing Chromium …');
  try {
    await run('apt-get', ['update', '-qq'], root, EXTRA_LIMIT_MS);
    await run(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', 'chromium'],
      root,
      EXTRA_LIMIT_MS,
    );
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
  }
}

function listSources(folder, names = /\.ts$/) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules' && entry.name !== 'dist')
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return listSources(path, names);
      return names.test(entry.name) ? [path.slice(root.length + 1)] : [];
    })
    .sort();
}

/** One set-up at a time in one clone: a folder is the lock, and a lock whose process is gone is void. */
async function withLock(path, action) {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      mkdirSync(path);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned(path)) rmSync(path, { recursive: true, force: true });
    if (Date.now() > deadline) fail(`Another set-up holds ${path}; remove that folder if none is running.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  try {
    writeFileSync(join(path, 'pid'), String(process.pid));
    await action();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function isAbandoned(path) {
  const pid = Number(readIfThere(join(path, 'pid')));
  if (!pid) return existsSync(path) && Date.now() - statSync(path).mtimeMs > 5_000;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function run(command, parameters, cwd, limitMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, {
      cwd,
      timeout: limitMs,
      stdio: ['ignore', 2, 2],
      shell: command.endsWith('.cmd'),
    });
    child.once('error', (error) => reject(new SetupError(`${command} could not be run: ${error.message}`)));
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new SetupError(`${command} ${parameters.join(' ')} failed; its output is above.`));
    });
  });
}

function hash(parts) {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part).update('\0');
  return digest.digest('hex');
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  rmSync(join(root, '.build', 'setup.lock'), { recursive: true, force: true });
  say(text);
  process.exit(1);
}
