/** What happened in the cluster in the last hour, as one node saw it: a sample every `TIMES.hourStepMs`. Plain data. */

/** What is so at the time of a sample. */
export interface HourGauges {
  /** Requests that are assigned and have not ended, those that wait for a place in a batch among them. */
  readonly running: number;
  /** Requests that wait for a place in a batch. */
  readonly queued: number;
  /** Of all nodes that are alive together. */
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
}

/** What happened since the sample before. */
export interface HourCounts {
  /** Requests, by how they ended. */
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly runnerFailures: number;
  readonly generatedTokens: number;
}

export interface HourSample extends HourGauges, HourCounts {
  /** Milliseconds since the epoch, on the clock of the node that took it. */
  readonly atMs: number;
}
