/**
 * In which batches the rows of a step are computed. Models with recurrent layers reorder rows inside of llama.cpp, and
 * what is taken out of a graph is then in that order. They keep it for rows of different sequences in ascending order,
 * and for rows of one sequence; so a step becomes such batches, the same in every shard.
 */

/** Row numbers of each batch. */
export function rowGroups(sequences: Int32Array): number[][] {
  const bySequence = new Map<number, number[]>();
  for (const [row, sequence] of sequences.entries()) {
    const rows = bySequence.get(sequence);
    if (rows === undefined) bySequence.set(sequence, [row]);
    else rows.push(row);
  }
  const ordered = [...bySequence].sort(([a], [b]) => a - b).map(([, rows]) => rows);
  const single = ordered.filter((rows) => rows.length === 1).flat();
  const long = ordered.filter((rows) => rows.length > 1);
  return single.length === 0 ? long : [single, ...long];
}
