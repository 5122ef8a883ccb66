/** Why a link closes, or never opened, as the last frame of an end says it. The form is the same in all versions. */
import { pack, unpack } from 'msgpackr';

const REASON_CHARACTERS = 500;
const CODE_CHARACTERS = 32;

export interface Farewell {
  /** One of `FAREWELLS`, or of a version that knows more. */
  readonly code: string;
  /** For people. */
  readonly reason: string;
  /** The other end said it. */
  readonly isFromPeer?: boolean;
}

export const FAREWELLS = {
  /** The node ends. */
  stopping: 'the node is stopping',
  /** Another connection of the same two lives is open. */
  duplicate: 'the two nodes are linked already',
  replaced: 'a newer connection took the place of this one',
  /** The node dialled itself. */
  self: 'the node dialled itself',
  /** Two processes have the same identity. */
  copiedHome: 'another process runs with the same identity',
  version: 'the two nodes speak different versions of the protocol',
  full: 'the node has as many links as it can have',
  dropped: 'a failpoint keeps the two nodes apart',
  identity: 'the node did not prove its identity',
} as const;

export function farewell(code: keyof typeof FAREWELLS): Farewell {
  return { code, reason: FAREWELLS[code] };
}

export function encodeFarewell({ code, reason }: Farewell): Buffer {
  return pack({ code, reason: reason.slice(0, REASON_CHARACTERS) });
}

/** What cannot be read is no more than a close without a reason. */
export function decodeFarewell(payload: Buffer): Farewell {
  try {
    const { code, reason } = unpack(payload) as { code?: unknown; reason?: unknown };
    if (typeof code === 'string' && typeof reason === 'string') {
      return { code: code.slice(0, CODE_CHARACTERS), reason: oneLine(reason).slice(0, REASON_CHARACTERS) };
    }
  } catch {
    // Falls through to the close without a reason.
  }
  return { code: 'unknown', reason: 'the other end gave no reason' };
}

/** The words of another machine go into the log of this one. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
