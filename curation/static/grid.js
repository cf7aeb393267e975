// The grid of thumbnails: only what is seen, and a little ahead, exists as elements.

import { h, replace } from './dom.js';
import { say } from './store.js';
import { verdictBadge, verdictName } from './verdicts.js';

const GAP = 10;
const FOOTER = 30;
const PADDING = 14;
const ROWS_AHEAD = 10;
const ROWS_BEHIND = 3;
// Browsers cap the height of an element, Firefox first; above this, scrolling is scaled.
const TALLEST = 16_000_000;
const LONGEST_RANGE = 5000;

/**
 * A listbox of samples. Calls `onOpen(index)`, `onSelect()` and `onActive(index)`.
 *
 * A cell's `data-state` is `waiting` (its row is on its way), `loading` (its thumbnail is), `filled` or `failed`.
 */
export class Grid {
  selected = new Set();
  allSelected = false; // then `selected` holds the exceptions
  active = 0;
  #rows = null;
  #cells = new Map(); // index → cell
  #spare = [];
  #frame = 0;
  #lastTop = 0;
  #anchor = 0;

  constructor(scroller, { onOpen, onSelect, onActive }) {
    this.scroller = scroller;
    this.onOpen = onOpen;
    this.onSelect = onSelect;
    this.onActive = onActive;
    this.size = 180;
    this.space = h('div', { class: 'grid-space', role: 'presentation' });
    scroller.append(this.space);
    scroller.addEventListener('scroll', () => this.draw(), { passive: true });
    scroller.addEventListener('keydown', (event) => this.#key(event));
    this.space.addEventListener('click', (event) => this.#click(event));
    new ResizeObserver(() => this.#layOut()).observe(scroller);
  }

  /** Shows other rows from their beginning, with nothing selected. */
  show(rows) {
    this.#rows = rows;
    this.selected.clear();
    this.allSelected = false;
    this.active = this.#anchor = 0;
    for (const [index, cell] of this.#cells) this.#put(index, cell);
    this.scroller.scrollTop = 0;
    this.#layOut();
  }

  resize(size) {
    const kept = this.active;
    this.size = size;
    this.#layOut();
    this.reveal(kept);
  }

  isSelected(id) {
    return this.selected.has(id) !== this.allSelected;
  }

  get selectedCount() {
    return this.allSelected ? (this.#rows?.total ?? 0) - this.selected.size : this.selected.size;
  }

  selectAll(all) {
    this.selected.clear();
    this.allSelected = all;
    this.refresh();
    this.onSelect();
  }

  toggle(index) {
    const row = this.#rows.get(index);
    if (!row) return;
    if (!this.selected.delete(row.id)) this.selected.add(row.id);
    this.#anchor = index;
    this.refresh();
    this.onSelect();
  }

  /** Makes `index` the active cell and scrolls just enough to show it. */
  activate(index) {
    this.active = Math.max(0, Math.min(index, (this.#rows?.total ?? 1) - 1));
    this.reveal(this.active);
    this.refresh();
    this.onActive(this.active);
  }

  reveal(index) {
    const { scroller } = this;
    const top = Math.floor(index / this.columns) * this.pitch;
    const seen = this.#top();
    if (top < seen) this.#scrollTo(top);
    else if (top + this.pitch + PADDING > seen + scroller.clientHeight)
      this.#scrollTo(top + this.pitch + 2 * PADDING - scroller.clientHeight);
    this.draw();
  }

  /** Draws at the next frame. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Draws all cells again: rows have changed. */
  refresh() {
    for (const cell of this.#cells.values()) cell.row = undefined;
    this.draw();
  }

  #layOut() {
    const width = this.scroller.clientWidth - 2 * PADDING;
    if (width <= 0) return; // hidden
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.cellWidth = Math.floor((width + GAP) / this.columns) - GAP;
    this.pitch = this.cellWidth + FOOTER + GAP;
    const rows = Math.ceil((this.#rows?.total ?? 0) / this.columns);
    this.height = rows * this.pitch + 2 * PADDING;
    this.space.style.height = `${Math.min(this.height, TALLEST)}px`;
    for (const [index, cell] of this.#cells) this.#put(index, cell);
    this.draw();
  }

  // Scaled scrolling: where the whole grid would be too tall for an element, one pixel of the scroll bar stands for more.
  get #scale() {
    const view = this.scroller.clientHeight;
    return this.height > TALLEST ? (this.height - view) / (TALLEST - view) : 1;
  }

  #top() {
    return this.scroller.scrollTop * this.#scale;
  }

  #scrollTo(top) {
    this.scroller.scrollTop = Math.max(0, top) / this.#scale;
  }

  #draw() {
    if (!this.#rows || !this.columns) return;
    const top = this.#top();
    const down = top >= this.#lastTop;
    this.#lastTop = top;
    const first = Math.floor((top - PADDING) / this.pitch) - (down ? ROWS_BEHIND : ROWS_AHEAD);
    const last = Math.ceil((top + this.scroller.clientHeight) / this.pitch) + (down ? ROWS_AHEAD : ROWS_BEHIND);
    const start = Math.max(0, first * this.columns);
    const end = Math.min(this.#rows.total, last * this.columns);
    // Rows are small: a screen further ahead than thumbnails.
    const ahead = 20 * this.columns;
    this.#rows.want(start - (down ? 0 : ahead), end + (down ? ahead : 0));
    for (const [index, cell] of this.#cells) if (index < start || index >= end) this.#put(index, cell);
    // From the middle of the screen outward in the direction of travel: what is looked at comes first.
    const seen = Math.max(start, Math.floor(top / this.pitch) * this.columns);
    for (let index = seen; index < end; index++) this.#drawCell(index, top);
    for (let index = seen - 1; index >= start; index--) this.#drawCell(index, top);
    this.scroller.setAttribute('aria-activedescendant', this.#rows.total ? `cell-${this.active}` : '');
  }

  #drawCell(index, top) {
    const cell = this.#cells.get(index) ?? this.#take(index);
    const x = PADDING + (index % this.columns) * (this.cellWidth + GAP);
    const y = PADDING + Math.floor(index / this.columns) * this.pitch - top + this.scroller.scrollTop;
    cell.element.style.transform = `translate(${x}px, ${Math.round(y)}px)`;
    const row = this.#rows.get(index);
    if (row && cell.row === row) return;
    cell.row = row;
    this.#fill(cell, index, row);
  }

  #take(index) {
    const cell = this.#spare.pop() ?? newCell();
    const { element } = cell;
    element.style.width = `${this.cellWidth}px`;
    element.style.height = `${this.cellWidth + FOOTER}px`;
    element.id = `cell-${index}`;
    element.dataset.index = index;
    element.dataset.state = 'waiting';
    element.setAttribute('aria-posinset', index + 1);
    element.setAttribute('aria-setsize', this.#rows.total);
    this.#cells.set(index, cell);
    this.space.append(element);
    return cell;
  }

  // Back among the spare cells; a thumbnail that is still loading is given up.
  #put(index, cell) {
    cell.image.removeAttribute('src');
    cell.row = undefined;
    cell.element.remove();
    this.#cells.delete(index);
    this.#spare.push(cell);
  }

  #fill(cell, index, row) {
    const { element, image } = cell;
    const active = index === this.active;
    element.classList.toggle('active', active);
    if (!row) {
      element.setAttribute('aria-label', 'loading');
      replace(cell.foot);
      return;
    }
    const selected = this.isSelected(row.id);
    const flagged = row.passed === false; // null where scores stay hidden until the verdict
    const flags = flagged ? 'flagged' : '';
    element.setAttribute('aria-selected', String(selected));
    element.setAttribute('aria-label', describe(row, flags));
    element.dataset.id = row.id;
    element.dataset.verdict = row.verdict ?? '';
    element.title = [row.id, row.style, flags].filter(Boolean).join(' · ');
    cell.tick.textContent = selected ? '✓' : '';
    if (row.thumb && image.getAttribute('src') !== row.thumb) {
      element.dataset.state = 'loading';
      image.src = row.thumb;
    } else if (!row.thumb) element.dataset.state = 'failed';
    replace(
      cell.foot,
      verdictBadge(row.verdict),
      h('span', { class: 'cell-id' }, row.id),
      row.duplicates !== undefined && row.duplicates !== null ? h('span', { class: 'cell-twin' }, '≈') : null,
      flagged ? h('span', { class: 'cell-flag' }, '⚑') : null,
      h('span', { class: 'cell-layers' }, row.layers),
    );
  }

  #click(event) {
    const element = event.target.closest('.cell');
    if (!element) return;
    const index = Number(element.dataset.index);
    if (event.shiftKey) this.#extend(index);
    else if (event.ctrlKey || event.metaKey || event.target.closest('.cell-tick')) this.toggle(index);
    else this.onOpen(index);
    this.activate(index);
  }

  async #extend(index) {
    const [from, to] = [Math.min(this.#anchor, index), Math.max(this.#anchor, index)];
    if (to - from >= LONGEST_RANGE) {
      say(
        `A range may have ${LONGEST_RANGE.toLocaleString('en')} samples. To decide about more, filter and select all.`,
      );
      return;
    }
    const rows = this.#rows;
    const chosen = await rows.range(from, to + 1);
    if (rows !== this.#rows) return;
    for (const { id } of chosen) {
      if (this.allSelected) this.selected.delete(id);
      else this.selected.add(id);
    }
    this.refresh();
    this.onSelect();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const screen = Math.max(1, Math.floor(this.scroller.clientHeight / this.pitch)) * this.columns;
    const last = this.#rows.total - 1;
    const places = {
      ArrowRight: this.active + 1,
      ArrowLeft: this.active - 1,
      ArrowDown: this.active + this.columns,
      ArrowUp: this.active - this.columns,
      PageDown: this.active + screen,
      PageUp: this.active - screen,
      Home: 0,
      End: last,
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    const place = Math.max(0, Math.min(places[event.key], last));
    if (event.shiftKey) this.#extend(place);
    this.activate(place);
  }
}

function newCell() {
  const image = h('img', { alt: '', decoding: 'async', draggable: false });
  const tick = h('span', { class: 'cell-tick' });
  const foot = h('div', { class: 'cell-foot' });
  const element = h(
    'div',
    { class: 'cell', role: 'option', 'aria-selected': 'false' },
    h('div', { class: 'cell-frame' }, image),
    tick,
    foot,
  );
  image.addEventListener('load', () => (element.dataset.state = 'filled'));
  image.addEventListener('error', () => image.hasAttribute('src') && (element.dataset.state = 'failed'));
  return { element, image, tick, foot, row: undefined };
}

function describe(row, flags) {
  const layers = row.layers === 1 ? '1 layer' : `${row.layers} layers`;
  return [row.id, row.style, layers, verdictName(row.verdict), flags].filter(Boolean).join(', ');
}
