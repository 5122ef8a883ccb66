/** Finds the npm packages that bring the native libraries for this machine. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ShoalError } from '../../../shared/errors.js';

const SCOPE = '@node-llama-cpp/';

/** Names a package of the scope, such as `linux-x64-cuda`, that is to be used and no other. */
const OVERRIDE_VARIABLE = 'SHOAL_ENGINE_PACKAGE';

/**
 * Packages by `platform-arch`, best first. Those with a GPU backend are not dependencies: a user who has the
 * hardware and the driver installs one, and it is preferred from then on.
 */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'linux-x64': ['linux-x64-cuda', 'linux-x64-vulkan', 'linux-x64'],
  'linux-arm64': ['linux-arm64'],
  'darwin-arm64': ['mac-arm64-metal'],
  'darwin-x64': ['mac-x64'],
  'win32-x64': ['win-x64-cuda', 'win-x64-vulkan', 'win-x64'],
  'win32-arm64': ['win-arm64'],
};

export interface PlatformPackage {
  readonly name: string;
  /** The folder with the shared libraries. */
  readonly folder: string;
}

/**
 * The installed packages for this machine, best first.
 * @throws {ShoalError} `engine_unavailable` when there is none
 */
export function installedPackages(): readonly PlatformPackage[] {
  const platform = `${process.platform}-${process.arch}`;
  const override = process.env[OVERRIDE_VARIABLE];
  const names = override ? [override] : PACKAGES[platform];
  if (names === undefined) {
    throw new ShoalError('engine_unavailable', `There is no build of llama.cpp for ${platform}.`);
  }
  const found = names.flatMap((name) => locate(name) ?? []);
  if (found.length === 0) {
    throw new ShoalError(
      'engine_unavailable',
      `None of the packages ${names.map((name) => SCOPE + name).join(', ')} is installed; \`npm ci\` without --omit=optional installs one.`,
    );
  }
  return found;
}

function locate(name: string): PlatformPackage | null {
  const entry = resolve(SCOPE + name);
  if (entry === null) return null;
  const folders = join(dirname(entry), '..', 'bins');
  if (!existsSync(folders)) return null;
  const own = readdirSync(folders).find((folder) => folder === name) ?? readdirSync(folders)[0];
  return own === undefined ? null : { name: SCOPE + name, folder: join(folders, own) };
}

function resolve(specifier: string): string | null {
  try {
    return fileURLToPath(import.meta.resolve(specifier));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return null;
    throw error;
  }
}
