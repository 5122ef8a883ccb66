/**
 * The disk under one node's control log. What is written is a list of operations that becomes durable from its front;
 * a crash keeps what was flushed, and of the rest a beginning of any length, as a file that is torn in the middle.
 */
import { ControlLog } from '../../src/control/cluster/controlLog.js';
import type { Entry } from '../../src/control/cluster/messages.js';
import type { Snapshot } from '../../src/control/cluster/snapshot.js';
import type { Random } from './random.js';

type Operation = { readonly entry: Entry } | { readonly snapshot: Snapshot };

export class Disk {
  readonly #random: Random;
  #operations: Operation[] = [];
  #flushed = 0;
  /** Instances and MetaInstances whose creation or deletion is, or was, on this disk. */
  readonly #created = new Set<string>();
  readonly #deleted = new Set<string>();
  /** A full disk takes no further operation; what comes meanwhile waits in memory. */
  isFull = false;
  term = 0;
  incarnation = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  storeEntry(entry: Entry): void {
    this.#operations.push({ entry });
  }

  storeSnapshot(snapshot: Snapshot): void {
    this.#operations.push({ snapshot });
  }

  /** False when the disk refuses. */
  flush(): boolean {
    if (this.isFull) return false;
    const fresh = this.#operations.slice(this.#flushed);
    for (const operation of fresh) this.#note(operation);
    const lastSnapshot = fresh.findLastIndex((operation) => 'snapshot' in operation);
    if (lastSnapshot >= 0) this.#operations = fresh.slice(lastSnapshot);
    this.#flushed = this.#operations.length;
    return true;
  }

  /** The power fails, or the process is killed, with part of what was not flushed on the disk. */
  crash(): void {
    const kept = this.isFull ? this.#flushed : this.#random.integer(this.#flushed, this.#operations.length);
    for (const operation of this.#operations.slice(this.#flushed, kept)) this.#note(operation);
    this.#operations = this.#operations.slice(0, kept);
    this.#flushed = kept;
  }

  /** Was its creation ever durable here? */
  knows(id: string): boolean {
    return this.#created.has(id);
  }

  knewDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  #note(operation: Operation): void {
    if ('snapshot' in operation) {
      for (const { instanceId } of operation.snapshot.instances) this.#created.add(instanceId);
      for (const { metaInstanceId } of operation.snapshot.metaInstances) this.#created.add(metaInstanceId);
      for (const id of operation.snapshot.deletedInstances) this.#deleted.add(id);
      for (const id of operation.snapshot.deletedMetaInstances) this.#deleted.add(id);
      return;
    }
    const { event } = operation.entry;
    if (event.kind === 'InstanceCreated') this.#created.add(event.instance.instanceId);
    if (event.kind === 'MetaInstanceCreated') this.#created.add(event.metaInstance.metaInstanceId);
    if (event.kind === 'MetaInstanceDeleted') this.#deleted.add(event.metaInstanceId);
    if (event.kind === 'InstanceDeleted') this.#deleted.add(event.instanceId);
  }

  load(): ControlLog {
    const log = new ControlLog();
    let entries: Entry[] = [];
    for (const operation of this.#operations) {
      if ('snapshot' in operation) {
        log.install(operation.snapshot);
        entries = [];
      } else entries.push(operation.entry);
    }
    log.accept(log.position, entries, () => undefined);
    return log;
  }
}
