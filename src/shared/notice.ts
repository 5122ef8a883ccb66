/** What a part of a node tells the people who run it. The composition root logs it. */
export type NoticeLevel = 'info' | 'warn';

/**
 * @param message what happened, why, and what to do, in one line
 * @param fields facts for machines, such as `code` (of the error catalogue), `address` or `error`
 */
export type Notify = (
  level: NoticeLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;
