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
/** Room for the words on the line between two cards. */
const WIDEST_GAP = 160;

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
      y: gapY + row * stepY + card.height / 2,
    };
  });
  return { width, height: gapY + Math.ceil(count / columns) * stepY, places };
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
