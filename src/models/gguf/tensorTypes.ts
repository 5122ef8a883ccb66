/**
 * The number formats that tensors are stored in: ggml's type ids with their block shapes. A row is stored in blocks of
 * `blockElements` numbers that take `blockBytes` each. The table is what ggml itself (`ggml_blck_size`,
 * `ggml_type_size`) answers in the pinned engine release; an id that is not here cannot be run by that release.
 */
export interface TensorType {
  readonly id: number;
  readonly name: TensorTypeName;
  readonly blockElements: number;
  readonly blockBytes: number;
}

/** `[id, name, elements of a block, bytes of a block]` */
const TABLE = [
  [0, 'f32', 1, 4],
  [1, 'f16', 1, 2],
  [2, 'q4_0', 32, 18],
  [3, 'q4_1', 32, 20],
  [6, 'q5_0', 32, 22],
  [7, 'q5_1', 32, 24],
  [8, 'q8_0', 32, 34],
  [9, 'q8_1', 32, 36],
  [10, 'q2_K', 256, 84],
  [11, 'q3_K', 256, 110],
  [12, 'q4_K', 256, 144],
  [13, 'q5_K', 256, 176],
  [14, 'q6_K', 256, 210],
  [15, 'q8_K', 256, 292],
  [16, 'iq2_xxs', 256, 66],
  [17, 'iq2_xs', 256, 74],
  [18, 'iq3_xxs', 256, 98],
  [19, 'iq1_s', 256, 50],
  [20, 'iq4_nl', 32, 18],
  [21, 'iq3_s', 256, 110],
  [22, 'iq2_s', 256, 82],
  [23, 'iq4_xs', 256, 136],
  [24, 'i8', 1, 1],
  [25, 'i16', 1, 2],
  [26, 'i32', 1, 4],
  [27, 'i64', 1, 8],
  [28, 'f64', 1, 8],
  [29, 'iq1_m', 256, 56],
  [30, 'bf16', 1, 2],
  [34, 'tq1_0', 256, 54],
  [35, 'tq2_0', 256, 66],
  [39, 'mxfp4', 32, 17],
  [40, 'nvfp4', 64, 36],
  [41, 'q1_0', 128, 18],
] as const;

export type TensorTypeName = (typeof TABLE)[number][1];

const types: readonly TensorType[] = TABLE.map(([id, name, blockElements, blockBytes]) => ({
  id,
  name,
  blockElements,
  blockBytes,
}));
const byId = new Map(types.map((type) => [type.id, type]));
const byName = new Map(types.map((type) => [type.name, type]));

export const TENSOR_TYPES: readonly TensorType[] = types;

/** The type of this ggml id, or null when the pinned engine does not know it. */
export function tensorTypeOfId(id: number): TensorType | null {
  return byId.get(id) ?? null;
}

export function tensorTypeOfName(name: TensorTypeName): TensorType {
  return byName.get(name)!;
}

/**
 * Bytes of a tensor with these dimensions (innermost first), or null when its rows are not whole blocks or the size
 * is beyond 2^53.
 */
export function tensorSizeBytes(type: TensorType, dims: readonly number[]): number | null {
  const row = dims[0] ?? 1;
  if (row % type.blockElements !== 0) return null;
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const bytes = (elements / type.blockElements) * type.blockBytes;
  return Number.isSafeInteger(elements) && Number.isSafeInteger(bytes) ? bytes : null;
}
