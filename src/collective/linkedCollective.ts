/** A collective over links: the operations, their deadlines, and who is at fault when one does not end. */
import { type Fault, ShoalError } from '../shared/errors.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import { BroadcastInbox } from './broadcastInbox.js';
import type {
  Collective,
  ControlFrame,
  LinkPath,
  OperationOptions,
  ReceivedTensor,
  ReceiveOptions,
} from './contract.js';
import type { Link } from './link/link.js';
import { type FrameHeader, KIND, WireError } from './link/wire.js';
import type { LinkGroup } from './linkGroup.js';
import { Operation, Step } from './operation.js';
import { bytesOf, type Shape, type World } from './shape/shape.js';
import { addInOrder } from './shape/sum.js';
import { keepVigil } from './vigil.js';

const NUMBERS = 2 ** 32;

export interface CollectiveComponents {
  /** With a link to each neighbour. */
  readonly group: LinkGroup;
  readonly shape: Shape;
  readonly world: World;
}

export class LinkedCollective implements Collective {
  readonly #group: LinkGroup;
  readonly #shape: Shape;
  readonly #world: World;
  readonly #operationMs: number;
  readonly #inbox = new BroadcastInbox();
  readonly neighbours: readonly number[];
  /** Number of the next operation of all ranks. */
  #nextNumber = 0;
  /** The operation of all ranks that was begun last. */
  #turn: Promise<void> = Promise.resolve();
  /** Room for the parts of the other ranks, kept for the next sum. */
  #scratch: readonly Float32Array[] = [];

  /** @param operationMs deadline of an operation that names none */
  constructor({ group, shape, world }: CollectiveComponents, operationMs: number) {
    this.#group = group;
    this.#shape = shape;
    this.#world = world;
    this.#operationMs = operationMs;
    this.neighbours = shape.neighboursOf(world);
    for (const link of group.links.values()) {
      void this.#relay(link);
      void keepVigil(group, link);
    }
    void group.ended.then(() => this.#inbox.fail(group.failure!));
  }

  get rank(): number {
    return this.#world.rank;
  }

  get worldSize(): number {
    return this.#world.size;
  }

  get paths(): readonly LinkPath[] {
    return [...this.#group.links.values()].map(({ path }) => path);
  }

  get ended(): Promise<Fault | null> {
    return this.#group.ended;
  }

  async send(
    to: number,
    tag: number,
    pieces: readonly Uint8Array[],
    options: OperationOptions = {},
  ): Promise<void> {
    this.#checkNeighbour(to);
    if (!Number.isInteger(tag) || tag < 0 || tag >= NUMBERS) throw invalid(`${tag} is no tag`);
    checkLength('a tensor', pieces, LIMITS.collectiveTensorBytes);
    await this.#run(`a tensor for rank ${to}`, options, (operation) =>
      operation.send(to, KIND.tensor, tag, pieces),
    );
  }

  async receive(from: number, options: ReceiveOptions = {}): Promise<ReceivedTensor> {
    this.#checkNeighbour(from);
    const { into, tag } = options;
    const place = (header: FrameHeader) => {
      if (tag !== undefined && header.tag !== tag) {
        throw new WireError(`tensor ${header.tag} instead of ${tag}`);
      }
      if (into === undefined) return null;
      if (header.length > into.length) {
        throw new WireError(`a tensor of ${header.length} bytes, where there is room for ${into.length}`);
      }
      return into.subarray(0, header.length);
    };
    return await this.#run(`a tensor from rank ${from}`, options, async (operation) => {
      const { header, bytes } = await operation.receive(from, KIND.tensor, place);
      return { tag: header.tag, bytes };
    });
  }

  async allReduce(buffer: Float32Array, options: OperationOptions = {}): Promise<void> {
    const own = bytesOf(buffer);
    checkLength('a sum', [own], LIMITS.collectiveTensorBytes);
    await this.#withAll('a sum over all ranks', options, async (step) => {
      if (this.#shape.reducesInPlace(this.#world, own.length)) {
        await this.#shape.reduce(this.#world, step, buffer);
        return;
      }
      const terms = this.#termsOf(buffer);
      await this.#shape.gather(this.#world, step, terms.map(bytesOf));
      const [total, ...rest] = terms as [Float32Array, ...Float32Array[]];
      addInOrder(total, rest);
      if (total !== buffer) buffer.set(total);
    });
  }

  async barrier(options: OperationOptions = {}): Promise<void> {
    const nothing = Array.from({ length: this.worldSize }, () => new Uint8Array(0));
    await this.#withAll('a barrier', options, (step) => this.#shape.gather(this.#world, step, nothing));
  }

  async broadcast(frame: Uint8Array, options: OperationOptions = {}): Promise<void> {
    checkLength('a control frame', [frame], LIMITS.collectiveControlBytes);
    const targets = this.#shape.broadcastTo(this.#world);
    await this.#run('a control frame', options, async (operation) => {
      await Promise.all(targets.map((to) => operation.send(to, KIND.control, this.rank, [frame])));
    });
  }

  nextBroadcast(): Promise<ControlFrame> {
    return this.#inbox.next();
  }

  fail(fault: Fault): void {
    const isNamed = typeof fault.details?.rank === 'number';
    const { names } = this.#group;
    this.#group.fail(
      isNamed
        ? ShoalError.fromFault(fault)
        : names.fault(fault.code, this.rank, `has failed: ${fault.message}`),
    );
  }

  async close(): Promise<void> {
    await this.#group.close();
  }

  /** Operations of all ranks go one after the other, in the order in which they were asked for. */
  async #withAll(
    what: string,
    options: OperationOptions,
    work: (step: Step) => Promise<void>,
  ): Promise<void> {
    const number = this.#nextNumber;
    this.#nextNumber = (number + 1) % NUMBERS;
    const before = this.#turn;
    const running = this.#run(what, options, async (operation) => {
      await before;
      if (this.worldSize > 1) await work(new Step(operation, number));
    });
    // Whoever comes next only has to know that this one is over.
    this.#turn = running.catch(() => undefined);
    await running;
  }

  async #run<Result>(
    what: string,
    { deadlineMs = this.#operationMs, signal }: OperationOptions,
    work: (operation: Operation) => Promise<Result>,
  ): Promise<Result> {
    if (this.#group.failure !== null) throw this.#group.failure;
    const operation = new Operation(this.#group);
    const cancel = () => this.#group.fail(this.#fault('cancelled', this.rank, `gave up ${what}`));
    if (signal?.aborted === true) cancel();
    signal?.addEventListener('abort', cancel);
    const timer =
      deadlineMs === null
        ? undefined
        : setTimeout(() => void this.#overdue(operation, what, deadlineMs), deadlineMs);
    try {
      return await work(operation);
    } catch (error) {
      throw this.#group.failure ?? error;
    } finally {
      operation.isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /**
   * Names the rank at fault. One that is linked to this rank and gives no sign of life it is; otherwise another rank may
   * know better, and is given the time to say so.
   */
  async #overdue(operation: Operation, what: string, deadlineMs: number): Promise<void> {
    const links = [...new Set(operation.waits.map(({ link }) => link))];
    const answers = await Promise.all(links.map((link) => link.isAnswering(TIMES.collectiveProbeMs)));
    if (operation.isOver || this.#group.failure !== null) return;
    const silent = links[answers.indexOf(false)];
    const missed = `${what} did not end within ${deadlineMs} ms`;
    if (silent !== undefined) {
      this.#group.fail(
        this.#fault('deadline_exceeded', silent.peer, `stands still: ${missed}, and it does not answer`),
      );
      return;
    }
    // A rank further on may be asking the silent one just now; its word comes before this time is over.
    await new Promise((resolve) => setTimeout(resolve, 2 * TIMES.collectiveProbeMs));
    if (operation.isOver) return;
    const origin = operation.waits[0]?.origin ?? this.rank;
    this.#group.fail(this.#fault('deadline_exceeded', origin, `is late: ${missed}`));
  }

  #fault(code: 'cancelled' | 'deadline_exceeded', rank: number, what: string): ShoalError {
    return this.#group.names.fault(code, rank, what);
  }

  /** By rank: this rank's own, and room for those of the others. */
  #termsOf(buffer: Float32Array): Float32Array[] {
    if ((this.#scratch[0]?.length ?? -1) < buffer.length) {
      this.#scratch = Array.from({ length: this.worldSize }, () => new Float32Array(buffer.length));
    }
    return this.#scratch.map((room, rank) => (rank === this.rank ? buffer : room.subarray(0, buffer.length)));
  }

  /** Takes the control frames of a link, hands them on where the shape says so, and keeps them for this rank. */
  async #relay(link: Link): Promise<void> {
    const check = ({ tag }: FrameHeader) => {
      const isOfOther = tag < this.worldSize && tag !== this.rank;
      if (!isOfOther || !this.#shape.mayBring(this.#world, tag, link.peer)) {
        throw new WireError(`a control frame of rank ${tag}, which it cannot have`);
      }
      return null;
    };
    try {
      for (;;) {
        const { header, bytes } = await link.receive(KIND.control, check);
        const targets = this.#shape.relayTo(this.#world, header.tag, link.peer);
        await Promise.all(
          targets.map((to) => this.#group.links.get(to)!.send(KIND.control, header.tag, [bytes])),
        );
        await this.#inbox.put({ from: header.tag, bytes });
      }
    } catch (error) {
      if (this.#group.failure === null) throw error;
    }
  }

  #checkNeighbour(rank: number): void {
    if (!this.neighbours.includes(rank)) {
      throw invalid(`rank ${this.rank} has no link to rank ${rank}, only to ${this.neighbours.join(', ')}`);
    }
  }
}

function checkLength(what: string, pieces: readonly Uint8Array[], limit: number): void {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length > limit) throw invalid(`${what} of ${length} bytes is over the limit of ${limit}`);
}

function invalid(message: string): ShoalError {
  return new ShoalError('invalid_request', message);
}
