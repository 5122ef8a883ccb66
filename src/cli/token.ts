/** `shoal token`: the join token of the cluster that a home folder belongs to. */
import { readClusterToken } from '../cluster/clusterKey.js';
import { ShoalError } from '../shared/errors.js';

/** The token alone goes to stdout, so that scripts can use it; it makes nothing. */
export function token(options: { readonly home: string; readonly json: boolean }): void {
  const found = readClusterToken(options.home);
  if (found === null) {
    throw new ShoalError('no_cluster', `no node was ever started with the home folder ${options.home}`);
  }
  process.stdout.write(options.json ? `${JSON.stringify({ token: found })}\n` : `${found}\n`);
  if (options.json || !process.stdout.isTTY) return;
  process.stderr.write(
    '\nOn another machine: node bin/shoal.js join TOKEN\nKeep it to yourself: whoever has it can join.\n',
  );
}
