/** Small changes to read-only maps and lists, each giving a new one. */

export function withEntry<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  key: Key,
  value: Value,
): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

export function without<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}

/** The list with these added at its end, and no more than the newest `limit` entries of it. */
export function withNewest<Entry>(
  list: readonly Entry[],
  added: readonly Entry[],
  limit: number,
): readonly Entry[] {
  return added.length === 0 ? list : [...list, ...added].slice(-limit);
}
