/** What people are told when a connection does not become a link: what happened, why, and what to do. */
import { TIMES } from '../../shared/limits.js';
import type { HandshakeError } from './handshake.js';
import type { Hello } from './hello.js';
import type { Notices } from './notices.js';
import { isNoNode, isOtherCluster } from './tlsTransport.js';
import { LINK_PROTOCOL } from './wire.js';

/** Where the other end is, and whether this node or the other dialled. */
export interface OtherEnd {
  readonly address: string;
  readonly isDialled: boolean;
  /** A person gave the address. */
  readonly isKept: boolean;
}

const TOKEN_REMEDY =
  'run `shoal join TOKEN` on one of them with the token that `shoal token` prints on the other';

/** The connection failed before it was encrypted. */
export function tellConnectionFailure(notices: Notices, error: Error, end: OtherEnd): void {
  const { address, isDialled, isKept } = end;
  const fields = { address, reason: error.message.trim() };
  if (isOtherCluster(error)) {
    const who = isDialled ? `the node at ${address} is` : `a node came from ${address} that is`;
    const message = `${who} of another cluster: its token is not the one of this node; if they belong together, ${TOKEN_REMEDY}`;
    notices.sayOnce(`token ${address}`, 'warn', message, fields);
  } else if (isDialled && isKept) {
    const reason = isNoNode(error) ? 'what listens there is no node of Shoal' : fields.reason;
    const message = `the node at ${address} cannot be reached: ${reason}; it is tried again`;
    notices.sayOnce(`dial ${address}`, 'warn', message, fields);
  } else {
    notices.sayOnce(`failed ${address}`, 'debug', `a connection with ${address} failed`, fields);
  }
}

/** The connection was encrypted, so the other end is a member of the cluster. */
export function tellHandshakeFailure(notices: Notices, error: HandshakeError, end: OtherEnd): void {
  const { address } = end;
  const { code, reason } = error.farewell;
  const fields = { address, code, reason, ...(error.peer === null ? {} : { node_id: error.peer.nodeId }) };
  if (error.otherVersion !== null) {
    const older = error.otherVersion < LINK_PROTOCOL ? `the machine at ${address}` : 'this machine';
    const message =
      `the node at ${address} speaks version ${error.otherVersion} of the protocol between nodes and this one ` +
      `version ${LINK_PROTOCOL}: update Shoal on ${older}`;
    notices.sayOnce(`version ${address}`, 'error', message, fields);
  } else if (code === 'copiedHome') {
    const name = error.peer === null ? '' : ` "${error.peer.name}"`;
    const message =
      `two processes run with the same identity, that of the node${name}; one of them was met at ${address}: ` +
      'the home folder of one is a copy; stop it and delete node.json in its home folder, or give it another with --home';
    notices.sayOnce(`copy ${address}`, 'error', message, fields);
  } else if (code === 'full' || code === 'identity' || code === 'garbage') {
    notices.sayOnce(`${code} ${address}`, 'warn', `no link with the node at ${address}: ${reason}`, fields);
  } else {
    notices.say('debug', `no link with the node at ${address}: ${reason}`, fields);
  }
}

export function tellClockSkew(notices: Notices, { nodeId, name, clockMs }: Hello, nowMs: number): void {
  const differenceMs = clockMs - nowMs;
  if (Math.abs(differenceMs) <= TIMES.clockSkewMs) return;
  const minutes = Math.round(Math.abs(differenceMs) / 60_000);
  const message =
    `the clock of node "${name}" is ${minutes} minutes ${differenceMs > 0 ? 'ahead of' : 'behind'} the one of this machine: ` +
    'set both by a time server, or times in logs and states will not agree';
  notices.sayOnce(`clock ${nodeId}`, 'warn', message, { node_id: nodeId, difference_ms: differenceMs });
}
