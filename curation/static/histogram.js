// One score's distribution with its threshold, and a brush that keeps a range of it.

import { h, replace, showValue, svg } from './dom.js';
import { short } from './verdicts.js';

const WIDTH = 248;
const HEIGHT = 64;

/** A histogram whose range is dragged, or typed. Calls `onRange([low, high])` or `onRange(null)` for all of it. */
export class Histogram {
  #edges = [0, 1];
  #range = null;
  #from = null;

  constructor(label, onRange) {
    this.onRange = onRange;
    this.bars = svg('g', { class: 'bars' });
    this.brush = svg('rect', { class: 'brush', y: 0, height: HEIGHT });
    this.threshold = svg('line', { class: 'threshold', y1: 0, y2: HEIGHT });
    this.plot = svg(
      'svg',
      { class: 'histogram', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `Distribution of ${label}` },
      this.bars,
      this.brush,
      this.threshold,
    );
    this.low = bound(`Least ${label}`, () => this.#typed());
    this.high = bound(`Greatest ${label}`, () => this.#typed());
    this.note = h('span', { class: 'quiet' });
    this.element = h(
      'div',
      {},
      this.plot,
      h(
        'div',
        { class: 'range' },
        this.low,
        h('span', { class: 'quiet' }, 'to'),
        this.high,
        h('button', { type: 'button', class: 'link', onclick: () => this.#choose(null) }, 'all'),
        this.note,
      ),
    );
    this.plot.addEventListener('pointerdown', (event) => this.#press(event));
    this.plot.addEventListener('pointermove', (event) => this.#from !== null && this.#drag(event));
    this.plot.addEventListener('pointerup', () => this.#release());
    this.plot.addEventListener('pointercancel', () => (this.#from = null));
  }

  /** @param edges bounds of the bins, one more than `counts`; @param threshold or null. */
  show({ edges, counts, threshold }, range) {
    this.#edges = edges.length > 1 ? edges : [0, 1];
    this.#range = range;
    const most = Math.max(1, ...counts);
    const width = WIDTH / Math.max(1, counts.length);
    replace(
      this.bars,
      ...counts.map((count, index) => {
        // The square root keeps rare values visible beside a tall peak.
        const height = count ? Math.max(1.5, Math.sqrt(count / most) * (HEIGHT - 2)) : 0;
        const flagged = threshold !== null && threshold !== undefined && edges[index + 1] <= threshold;
        return svg('rect', {
          class: flagged ? 'flagged' : '',
          x: index * width,
          y: HEIGHT - height,
          width: Math.max(0.5, width - 0.7),
          height,
        });
      }),
    );
    const shown = threshold !== null && threshold !== undefined;
    const place = shown ? this.#x(threshold) : -10;
    this.threshold.setAttribute('x1', place);
    this.threshold.setAttribute('x2', place);
    this.note.textContent = shown ? `threshold ${short(threshold)}` : '';
    this.#drawRange();
  }

  #x(value) {
    const [low, high] = [this.#edges[0], this.#edges.at(-1)];
    return Math.max(0, Math.min(WIDTH, ((value - low) / (high - low || 1)) * WIDTH));
  }

  #value(event) {
    const box = this.plot.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    return this.#edges[0] + share * (this.#edges.at(-1) - this.#edges[0]);
  }

  #press(event) {
    this.plot.setPointerCapture(event.pointerId);
    this.#from = this.#value(event);
  }

  #drag(event) {
    const to = this.#value(event);
    this.#range = [Math.min(this.#from, to), Math.max(this.#from, to)];
    this.#drawRange();
  }

  #release() {
    if (this.#from === null) return;
    this.#from = null;
    const [low, high] = this.#range ?? [0, 0];
    const width = this.#edges.at(-1) - this.#edges[0];
    this.#choose(high - low < width / 200 ? null : [low, high]);
  }

  #typed() {
    const low = this.low.value === '' ? this.#edges[0] : Number(this.low.value);
    const high = this.high.value === '' ? this.#edges.at(-1) : Number(this.high.value);
    this.#choose(this.low.value === '' && this.high.value === '' ? null : [Math.min(low, high), Math.max(low, high)]);
  }

  #choose(range) {
    this.#range = range;
    this.#drawRange();
    this.onRange(range);
  }

  #drawRange() {
    const [low, high] = this.#range ?? [0, 0];
    this.brush.setAttribute('x', this.#x(low));
    this.brush.setAttribute('width', this.#range ? Math.max(1, this.#x(high) - this.#x(low)) : 0);
    showValue(this.low, this.#range ? String(Number(low.toFixed(4))) : '');
    showValue(this.high, this.#range ? String(Number(high.toFixed(4))) : '');
  }
}

function bound(label, onChange) {
  return h('input', { type: 'number', step: 'any', 'aria-label': label, placeholder: '–', onchange: onChange });
}
