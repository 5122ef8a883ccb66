/** What the operating system takes by itself: the end of a process of the same size, the delay of an idle loop. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./bareChild.js', import.meta.url));
/** A bare Node.js process takes so much already. */
const OWN_BYTES = 45 * 2 ** 20;

export class BareProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(residentBytes: number) {
    const heldBytes = Math.max(0, residentBytes - OWN_BYTES);
    this.#child = spawn(process.execPath, [SCRIPT, String(heldBytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
  }

  /** Resolves when its memory is there. */
  static async start(residentBytes = 0): Promise<BareProcess> {
    const bare = new BareProcess(residentBytes);
    await once(bare.#lines, 'line');
    return bare;
  }

  /** The longest delay of its event loop so far, in milliseconds. */
  async longestDelayMs(): Promise<number> {
    const line = once(this.#lines, 'line');
    this.#child.stdin?.write('\n');
    return Number(String((await line)[0]).split(' ')[0]);
  }

  /** SIGKILL. Returns the milliseconds until its parent knows. */
  async kill(): Promise<number> {
    const begun = performance.now();
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
    return performance.now() - begun;
  }
}
