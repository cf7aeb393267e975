// Alpha made visible: the filters of matte and heat view, single pixels, and places on an edge.

import { svg } from './dom.js';

// Alpha 0 is dark; the faintest haze jumps to magenta; between lies blue to yellow; solid is quiet again.
const HEAT_STOPS = [
  [0, 0x1e, 0x1e, 0x1e],
  [1, 0xa8, 0x20, 0x88],
  [24, 0xff, 0x4f, 0xc3],
  [64, 0x4a, 0x6c, 0xf7],
  [128, 0x1f, 0xb8, 0xb0],
  [204, 0xf2, 0xd1, 0x3c],
  [250, 0xff, 0xf3, 0xb0],
  [255, 0xdc, 0xdc, 0xdc],
];

/** The heat colour of an alpha in 0…255, as `[red, green, blue]` in 0…255. */
export function heatColor(alpha) {
  const above = HEAT_STOPS.findIndex(([stop]) => stop >= alpha);
  if (HEAT_STOPS[above][0] === alpha) return HEAT_STOPS[above].slice(1);
  const [from, to] = [HEAT_STOPS[above - 1], HEAT_STOPS[above]];
  const share = (alpha - from[0]) / (to[0] - from[0]);
  return [1, 2, 3].map((channel) => Math.round(from[channel] + share * (to[channel] - from[channel])));
}

/** The SVG that holds the filters: `#alpha-white` keeps alpha and paints white, `#alpha-heat` colours alpha. */
export function alphaFilters() {
  const exact = { 'color-interpolation-filters': 'sRGB', x: '0', y: '0', width: '100%', height: '100%' };
  const tables = [0, 1, 2].map((channel) =>
    Array.from({ length: 256 }, (_, alpha) => ((heatColor(alpha)[channel] + 0.2) / 255).toFixed(5)).join(' '),
  );
  return svg(
    'svg',
    { width: 0, height: 0, 'aria-hidden': 'true', class: 'filters-of-alpha' },
    svg(
      'filter',
      { id: 'alpha-white', ...exact },
      svg('feColorMatrix', { values: '0 0 0 0 1  0 0 0 0 1  0 0 0 0 1  0 0 0 1 0' }),
    ),
    svg(
      'filter',
      { id: 'alpha-heat', ...exact },
      svg('feColorMatrix', { values: '0 0 0 1 0  0 0 0 1 0  0 0 0 1 0  0 0 0 0 1' }),
      svg(
        'feComponentTransfer',
        {},
        ...['feFuncR', 'feFuncG', 'feFuncB'].map((name, channel) =>
          svg(name, { type: 'discrete', tableValues: tables[channel] }),
        ),
      ),
    ),
  );
}

/** The pixel `[red, green, blue, alpha]` (0…255) of an image at whole coordinates, or null outside of it. */
export function pixel(image, x, y) {
  if (x < 0 || y < 0 || x >= image.naturalWidth || y >= image.naturalHeight) return null;
  const context = readable(1, 1);
  context.drawImage(image, -Math.floor(x), -Math.floor(y));
  return [...context.getImageData(0, 0, 1, 1).data];
}

/**
 * Places on an image's edge that want a look, the most doubtful first: where much is half transparent.
 *
 * @param area what of the image can be seen, `[left, top, right, bottom]` in its pixels.
 * @returns up to `most` half transparent pixels `[x, y]`, apart from each other; none for a layer without a soft edge.
 */
export function edgePlaces(image, area, most = 12) {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const [left, top] = [Math.max(0, area[0]), Math.max(0, area[1])];
  const [right, bottom] = [Math.min(width, area[2]), Math.min(height, area[3])];
  const context = readable(width, height);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const cell = Math.max(8, Math.round(Math.min(width, height) / 12));
  const found = new Map(); // cell → how much of it is half transparent, and its most doubtful pixel
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const alpha = data[4 * (y * width + x) + 3];
      if (alpha === 0 || alpha === 255) continue;
      const key = Math.floor(y / cell) * width + Math.floor(x / cell);
      const place = found.get(key) ?? { sum: 0, most: 0, at: [x, y] };
      const doubt = Math.min(alpha, 255 - alpha);
      found.set(key, {
        sum: place.sum + doubt,
        most: Math.max(place.most, doubt),
        at: doubt > place.most ? [x, y] : place.at,
      });
    }
  }
  const chosen = [];
  for (const { at } of [...found.values()].sort((a, b) => b.sum - a.sum)) {
    if (chosen.length === most) break;
    if (chosen.every((other) => Math.hypot(at[0] - other[0], at[1] - other[1]) > 1.5 * cell)) chosen.push(at);
  }
  return chosen;
}

function readable(width, height) {
  const canvas = new OffscreenCanvas(width, height);
  return canvas.getContext('2d', { willReadFrequently: true });
}
