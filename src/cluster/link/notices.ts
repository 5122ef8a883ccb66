/** What people should hear of the links, without hearing it all the time. */
import { LIMITS, TIMES } from '../../shared/limits.js';

export type NoticeLevel = 'debug' | 'info' | 'warn' | 'error';

/** Says something to the people who run this node. The message stands for itself; fields are for machines. */
export type OnNotice = (
  level: NoticeLevel,
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

export class Notices {
  readonly #onNotice: OnNotice;
  readonly #now: () => number;
  /** When each subject was last spoken of, the latest at the end. */
  readonly #last = new Map<string, number>();
  /** When the notices of the present span began, and how many there were. */
  #spanBegan = Number.NEGATIVE_INFINITY;
  #spanCount = 0;

  /** @param now milliseconds that only go forward */
  constructor(onNotice: OnNotice, now: () => number = () => performance.now()) {
    this.#onNotice = onNotice;
    this.#now = now;
  }

  say(level: NoticeLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#onNotice(level, message, fields);
  }

  /** Says it unless this subject was spoken of a short while ago, or very many were. */
  sayOnce(
    subject: string,
    level: NoticeLevel,
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    const now = this.#now();
    const last = this.#last.get(subject);
    if (last !== undefined && now - last < TIMES.noticeRepeatMs) return;
    if (now - this.#spanBegan >= TIMES.noticeRepeatMs) {
      this.#spanBegan = now;
      this.#spanCount = 0;
    }
    // A stranger can come from any number of addresses.
    this.#spanCount += 1;
    if (this.#spanCount > LIMITS.linkNotices) return;
    this.#last.delete(subject);
    this.#last.set(subject, now);
    if (this.#last.size > LIMITS.linkNotices) this.#last.delete(this.#last.keys().next().value!);
    this.say(level, message, fields);
  }
}
