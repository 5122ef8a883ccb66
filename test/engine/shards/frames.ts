/** Rows of a step and their numbers on a pipe: a length, the rows as JSON, a length, the numbers as f32. */

export interface FrameRow {
  readonly position: number;
  readonly sequence: number;
  readonly output: boolean;
}

interface Frame {
  readonly rows: readonly FrameRow[];
  /** Tokens, hidden states or logits. */
  readonly numbers: Float32Array;
}

const LENGTH_BYTES = 4;

export function encodeFrame(rows: readonly FrameRow[], numbers: Float32Array): Buffer {
  const head = Buffer.from(JSON.stringify(rows));
  const lengths = [head.length, numbers.byteLength].map((length) => {
    const buffer = Buffer.alloc(LENGTH_BYTES);
    buffer.writeUInt32LE(length);
    return buffer;
  });
  const body = Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return Buffer.concat([lengths[0] as Buffer, lengths[1] as Buffer, head, body]);
}

export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** The frames that are complete with this chunk. */
  read(chunk: Buffer): Frame[] {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      if (this.#pending.length < 2 * LENGTH_BYTES) return frames;
      const headEnd = 2 * LENGTH_BYTES + this.#pending.readUInt32LE(0);
      const end = headEnd + this.#pending.readUInt32LE(LENGTH_BYTES);
      if (this.#pending.length < end) return frames;
      const rows = JSON.parse(this.#pending.toString('utf8', 2 * LENGTH_BYTES, headEnd)) as FrameRow[];
      // A copy of its own is aligned.
      const numbers = new Float32Array(Uint8Array.from(this.#pending.subarray(headEnd, end)).buffer);
      frames.push({ rows, numbers });
      this.#pending = this.#pending.subarray(end);
    }
  }
}
