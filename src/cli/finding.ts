/** What `shoal doctor` found out about one thing that a node needs. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  /** What there is, and what to do where it is not right. */
  readonly found: string;
}
