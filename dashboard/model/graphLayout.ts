/** Where the cards of the graph stand: on an ellipse while they are few, in rows when they are many. Deterministic. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Centres of the cards, in the order given. */
  readonly places: readonly { readonly x: number; readonly y: number }[];
}

export interface CardSize {
  readonly width: number;
  readonly height: number;
  readonly gap: number;
}

const MOST_ON_ELLIPSE = 10;
const MOST_SIDE_BY_SIDE = 2;
/** Two above and one below: all three lines are seen. */
const TRIANGLE = 3;
/** Room for the words on the line between two cards. */
const WIDEST_GAP = 160;
const WORDS_GAP = 56;
/** Above and below all cards: what marks a chosen one has room. */
const MARGIN = 6;

/** @param width what there is, in pixels; the height follows. All cards are inside and none covers another. */
export function layoutCards(count: number, width: number, card: CardSize): Layout {
  const columns = Math.max(1, Math.floor((width - card.gap) / (card.width + card.gap)));
  if (count <= MOST_SIDE_BY_SIDE && count <= columns) {
    const spare = (width - count * card.width) / (count + 1);
    return rows(
      count,
      width,
      count,
      { ...card, gap: Math.max(card.gap, Math.min(WIDEST_GAP, spare)) },
      card.gap,
    );
  }
  if (count === TRIANGLE && columns >= 2) {
    const gap = Math.max(card.gap, Math.min(2 * WIDEST_GAP, width / 2 - card.width));
    return rows(count, width, 2, { ...card, gap }, WORDS_GAP);
  }
  return columns > MOST_SIDE_BY_SIDE && count <= MOST_ON_ELLIPSE
    ? ellipse(count, width, card)
    : rows(count, width, columns, card);
}

function rows(count: number, width: number, columns: number, card: CardSize, gapY = card.gap): Layout {
  const [stepX, stepY] = [card.width + card.gap, card.height + gapY];
  const places = Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = (width - inRow * stepX + card.gap) / 2;
    return {
      x: left + (index % columns) * stepX + card.width / 2,
      y: MARGIN + row * stepY + card.height / 2,
    };
  });
  return { width, height: 2 * MARGIN + Math.ceil(count / columns) * stepY - gapY, places };
}

/**
 * Two columns of cards that bulge: each side has rows of its own, so that no two can meet, and lines between any two
 * do not run through a third that lies beside them.
 */
function ellipse(count: number, width: number, card: CardSize): Layout {
  const left = Math.ceil(count / 2);
  const height = left * (card.height + card.gap) + card.gap;
  const reach = (width - card.width) / 2 - card.gap;
  const places = Array.from({ length: count }, (_, index) => {
    const isLeft = index % 2 === 0;
    const inColumn = isLeft ? left : count - left;
    const row = Math.floor(index / 2);
    const y = ((row + 0.5) / inColumn) * (height - card.gap) + card.gap / 2;
    const slope = (2 * y) / height - 1;
    const bulge = Math.max((card.width + card.gap) / 2, reach * Math.sqrt(1 - slope * slope * 0.75));
    return { x: width / 2 + (isLeft ? -bulge : bulge), y };
  });
  return { width, height, places };
}

/** One step of a pipeline, from a card to the next, drawn as a curve so that several between two cards stay apart. */
export interface Arc {
  readonly key: string;
  readonly hue: number;
  /** As `d` of an SVG path. */
  readonly path: string;
  /** Where its arrow stands, and which way it looks, in degrees. */
  readonly middle: Point;
  readonly angle: number;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** How far curves bend away from the straight line, which has the words of the link. */
const FIRST_BEND = 68;
const NEXT_BEND = 26;
const HALF_TURN = 180;

export function arcsOf(
  paths: readonly {
    readonly instanceId: string;
    readonly hue: number;
    readonly nodeIds: readonly string[];
  }[],
  places: ReadonlyMap<string, Point | undefined>,
): Arc[] {
  const bends = new Map<string, number>();
  return paths.flatMap(({ instanceId, hue, nodeIds }) =>
    nodeIds.slice(1).flatMap((toId, step) => {
      const fromId = nodeIds[step] as string;
      const [from, to] = [places.get(fromId), places.get(toId)];
      if (from === undefined || to === undefined || fromId === toId) return [];
      const way = JSON.stringify([fromId, toId]);
      const already = bends.get(way) ?? 0;
      bends.set(way, already + 1);
      return [{ key: `${instanceId} ${step}`, hue, ...curve(from, to, FIRST_BEND + already * NEXT_BEND) }];
    }),
  );
}

function curve(from: Point, to: Point, bend: number): Pick<Arc, 'path' | 'middle' | 'angle'> {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const control = {
    x: (from.x + to.x) / 2 + (dy / length) * bend,
    y: (from.y + to.y) / 2 - (dx / length) * bend,
  };
  return {
    path: `M${from.x},${from.y} Q${control.x},${control.y} ${to.x},${to.y}`,
    middle: { x: (from.x + 2 * control.x + to.x) / 4, y: (from.y + 2 * control.y + to.y) / 4 },
    angle: (Math.atan2(dy, dx) * HALF_TURN) / Math.PI,
  };
}
