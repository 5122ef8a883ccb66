/** What one surviving node says of a fault, and when: over `/events`, which it pushes, and in its log. */
import type { NodeProcess } from '../../test/support/nodeProcess.js';

interface ControlMessage {
  readonly event?: { readonly kind: string; readonly node_id?: string; readonly status?: string };
  readonly state?: {
    readonly master_node_id: string | null;
    readonly nodes: Record<string, { readonly status: string }>;
  };
}

interface LogLine {
  /** ISO 8601, to the millisecond. */
  readonly time: string;
  readonly msg: string;
  readonly node_id?: string;
  readonly status?: string;
}

/** Times are of the wall clock in ms; all nodes are on this machine. */
export class Witness {
  readonly #node: NodeProcess;
  readonly #victimId: string;
  readonly #leaving = new AbortController();
  readonly #following: Promise<void>;
  #deadAt: number | null = null;
  #masterAt: number | null = null;

  private constructor(node: NodeProcess, victimId: string, response: Response) {
    this.#node = node;
    this.#victimId = victimId;
    this.#following = this.#follow(response).catch((error: unknown) => {
      if (!this.#leaving.signal.aborted) throw error;
    });
  }

  /** Resolves when the node tells this reader of everything from now on. */
  static async of(node: NodeProcess, victimId: string): Promise<Witness> {
    const leaving = new AbortController();
    const response = await fetch(`${node.url}/events`, { signal: leaving.signal });
    const witness = new Witness(node, victimId, response);
    witness.#leaving.signal.addEventListener('abort', () => leaving.abort(), { once: true });
    return witness;
  }

  /** When the state of the node showed the victim dead. */
  get deadAt(): number | null {
    return this.#deadAt;
  }

  /** When the state of the node showed another master than the victim. */
  get masterAt(): number | null {
    return this.#masterAt;
  }

  /** When the node itself took the victim for dead: the first time at or after `since`. */
  judgedAt(since: number): number | null {
    for (const text of this.#node.log().split('\n')) {
      if (!text.includes('node judged')) continue;
      const line = JSON.parse(text) as LogLine;
      const time = Date.parse(line.time);
      if (time >= since && line.node_id === this.#victimId && line.status === 'dead') return time;
    }
    return null;
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#following;
  }

  async #follow(response: Response): Promise<void> {
    let rest = '';
    for await (const text of (response.body as ReadableStream<Uint8Array>).pipeThrough(
      new TextDecoderStream(),
    )) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data: ')) this.#note(JSON.parse(line.slice('data: '.length)) as ControlMessage);
      }
    }
  }

  #note({ event, state }: ControlMessage): void {
    const now = Date.now();
    const isDead =
      state?.nodes[this.#victimId]?.status === 'dead' ||
      (event?.kind === 'NodeStatusChanged' && event.node_id === this.#victimId && event.status === 'dead');
    const master =
      state === undefined ? event?.kind === 'MasterElected' && event.node_id : state.master_node_id;
    if (isDead) this.#deadAt ??= now;
    if (master && master !== this.#victimId) this.#masterAt ??= now;
  }
}
