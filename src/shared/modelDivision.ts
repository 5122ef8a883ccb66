/** How a model can be divided between ranks: what its file says, and what placement and people are told of it. */

/** Where a model may be cut into pipeline shards. A cut is the number of the layer before which it lies. */
export type LayerCuts =
  | {
      readonly canBeCut: true;
      /** In ascending order, without 0 and `layers`. */
      readonly cuts: readonly number[];
      /** Layers that take part, from 0; what is behind them (drafting layers) is left out of shards. */
      readonly layers: number;
      /** No shard may have one of these numbers of layers. */
      readonly refusedLayerCounts: readonly number[];
    }
  /** For people: it follows "cannot be cut into shards: ". */
  | { readonly canBeCut: false; readonly reason: string };

interface SlicedDimension {
  /** For people, such as `KV heads`. */
  readonly name: string;
  readonly size: number;
  /** Each slice is a multiple of this: the block of a quantised type, or 1. */
  readonly unit: number;
}

/** Into which equal slices a model can be divided. */
export type TensorSlices =
  /** Every number of slices that divides all dimensions, in whole units, is legal. */
  | { readonly canBeSliced: true; readonly dimensions: readonly SlicedDimension[] }
  /** For people: it follows the words "cannot be divided into slices: ". */
  | { readonly canBeSliced: false; readonly reason: string };

/** Why a model cannot be divided into so many slices, for people; null when it can. */
export function slicesRefusal(slices: TensorSlices, ranks: number): string | null {
  if (!slices.canBeSliced) return slices.reason;
  const odd = slices.dimensions.find(({ size, unit }) => size % (ranks * unit) !== 0);
  if (odd === undefined) return null;
  const unit = odd.unit === 1 ? '' : ` in blocks of ${odd.unit}`;
  return `its ${odd.size} ${odd.name} do not divide by ${ranks}${unit}.`;
}
