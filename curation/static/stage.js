// The picture of the viewer: every layer a real image of its own, in a plane that can be hidden, faded, tinted by its
// alpha, or lifted out of the stack.

import { h, replace } from './dom.js';
import { pixel } from './alpha.js';
import { decode } from './preload.js';

export const BASE = -1;
const CLOSER_FROM = 10;
export const MODES = ['picture', 'matte', 'heat', 'difference', 'merged'];
export const BACKGROUNDS = ['checker', 'white', 'black', 'gray', 'own'];

/** How the viewer shows samples, whichever sample it is. */
export const FIRST_LOOK = Object.freeze({
  mode: 'picture',
  exploded: false,
  turn: [-14, -34], // degrees about x and y
  gap: 0.18, // between planes, in shares of the canvas's longer side
  boxes: false,
  layoutBoxes: false,
  background: 'checker',
  ownColor: '#7f5f3f',
  gain: 4,
});

/** How one sample is looked at right now; nothing of it is stored. */
export function firstState(detail) {
  return {
    selected: detail.layers.length ? detail.layers.length - 1 : BASE,
    hidden: new Set(),
    solo: null,
    opacity: new Map(),
  };
}

export class Stage {
  entry = null;
  state = null;
  look = FIRST_LOOK;
  #size = [1, 1];

  constructor(host, camera) {
    this.host = host;
    this.camera = camera;
    this.reference = h('div', { class: 'reference' });
    this.planes = h('div', { class: 'planes' });
    this.canvas = h('div', { class: 'canvas' }, this.reference, this.planes);
    this.overlay = h('div', { class: 'overlay', 'aria-hidden': 'true' });
    this.scene = h('div', { class: 'scene' }, this.canvas, this.overlay);
    host.append(this.scene);
    new ResizeObserver(() => this.place()).observe(host);
  }

  /** Shows a loaded sample. */
  show(entry, state) {
    this.entry = entry;
    this.state = state;
    const { detail } = entry;
    this.#size = detail.canvas;
    for (const part of [this.canvas, this.overlay]) {
      part.style.width = `${detail.canvas[0]}px`;
      part.style.height = `${detail.canvas[1]}px`;
    }
    const base = this.#plane(BASE, detail.images.base, [0, 0, ...detail.canvas]);
    replace(this.planes, base, ...detail.layers.map((layer) => this.#plane(layer.index, layer.image, layer.box)));
    replace(this.overlay, ...detail.layers.flatMap((layer) => boxesOf(layer)));
    this.apply();
  }

  #plane(index, address, box) {
    const failed = this.entry.failed.has(address);
    const image = failed ? h('div', { class: 'broken' }, 'cannot be shown') : this.entry.images.get(address);
    image.className = failed ? 'layer broken' : 'layer';
    image.style.left = `${box[0]}px`;
    image.style.top = `${box[1]}px`;
    image.style.width = `${box[2] - box[0]}px`;
    image.style.height = `${box[3] - box[1]}px`;
    const tag = index === BASE ? 'base' : String(index);
    return h('div', { class: 'plane', 'data-layer': index }, h('span', { class: 'tag' }, tag), image);
  }

  get isExploded() {
    return this.host.classList.contains('exploded');
  }

  isRejected(index) {
    return this.entry.detail.layers.some((layer) => layer.index === index && layer.verdict === 'reject');
  }

  isVisible(index) {
    const { solo, hidden } = this.state;
    if (solo !== null) return solo === index;
    if (index === BASE && ['matte', 'heat'].includes(this.look.mode)) return false;
    return !hidden.has(index) && !this.isRejected(index);
  }

  /** Brings the picture in line with `look` and `state`. */
  apply() {
    if (!this.entry) return;
    const { look, state, host } = this;
    const comparing = look.mode === 'difference' || look.mode === 'merged';
    const exploded = look.exploded && !comparing;
    const heat = look.mode === 'heat' ? 'url(#alpha-heat)' : '';
    host.className = [
      'stage',
      look.mode,
      exploded ? 'exploded' : 'flat',
      look.boxes && 'with-boxes',
      look.layoutBoxes && 'with-layout-boxes',
      `behind-${look.background}`,
    ]
      .filter(Boolean)
      .join(' ');
    host.style.setProperty('--own-color', look.ownColor);
    // Filters of a group flatten it: in the exploded stack every plane is tinted alone.
    this.planes.style.filter = exploded ? '' : heat;
    this.canvas.style.filter = look.mode === 'difference' ? `brightness(${look.gain})` : '';
    const planes = [...this.planes.children];
    // A tall stack stands closer, or its ends would leave the view.
    const gap = look.gap * Math.max(...this.#size) * Math.min(1, CLOSER_FROM / planes.length);
    planes.forEach((plane, place) => {
      const index = Number(plane.dataset.layer);
      const image = plane.lastElementChild;
      plane.hidden = !this.isVisible(index);
      plane.classList.toggle('selected', index === state.selected);
      plane.style.opacity = state.opacity.get(index) ?? 1;
      image.style.filter = look.mode === 'matte' ? 'url(#alpha-white)' : exploded ? heat : '';
      const lift = (place - (planes.length - 1) / 2) * gap;
      plane.style.transform = exploded ? `translateZ(${lift}px)` : '';
    });
    for (const box of this.overlay.children)
      box.classList.toggle('selected', Number(box.dataset.layer) === state.selected);
    this.#showReference(comparing);
    this.place();
  }

  // The stored whole image, or what the model itself predicted as the whole.
  async #showReference(wanted) {
    const { entry } = this;
    const { merged, whole } = entry.detail.images;
    const address = merged ?? whole;
    if (wanted) await decode(entry, address);
    if (entry !== this.entry) return;
    replace(this.reference, wanted && !entry.failed.has(address) ? entry.images.get(address) : null);
  }

  /** Moves the scene to where the camera looks. */
  place() {
    const { host, camera, look } = this;
    if (!host.clientWidth) return;
    camera.resize([host.clientWidth, host.clientHeight], this.#size);
    const { origin, scale } = camera;
    this.scene.style.transform = `translate(${origin[0]}px, ${origin[1]}px) scale(${scale})`;
    this.scene.style.setProperty('--screen-pixel', `${1 / scale}px`);
    this.scene.classList.toggle('pixelated', scale * devicePixelRatio >= 2);
    this.canvas.style.transform = this.isExploded
      ? `scale3d(0.62, 0.62, 0.62) rotateX(${look.turn[0]}deg) rotateY(${look.turn[1]}deg)`
      : '';
  }

  /** View pixels of a pointer event. */
  at(event) {
    const box = this.host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** What lies under a point of the view: `{x, y, layer, color}`, the uppermost visible layer that is not clear there. */
  pick(at) {
    const [x, y] = this.camera.toCanvas(at).map(Math.floor);
    const { detail, images, failed } = this.entry;
    if (x < 0 || y < 0 || x >= detail.canvas[0] || y >= detail.canvas[1]) return null;
    for (const layer of [...detail.layers].reverse()) {
      if (!this.isVisible(layer.index) || failed.has(layer.image)) continue;
      const image = images.get(layer.image);
      const color = pixel(image, x - layer.box[0], y - layer.box[1]);
      if (color?.[3]) return { x, y, layer: layer.index, color };
    }
    return {
      x,
      y,
      layer: BASE,
      color:
        this.isVisible(BASE) && !failed.has(detail.images.base) ? pixel(images.get(detail.images.base), x, y) : null,
    };
  }
}

function boxesOf(layer) {
  return ['layout_box', 'box']
    .filter((name) => layer[name])
    .map((name) => {
      const [left, top, right, bottom] = layer[name];
      const box = h(
        'div',
        { class: name === 'box' ? 'box' : 'box layout', 'data-layer': layer.index },
        name === 'box' ? h('span', {}, layer.index) : null,
      );
      Object.assign(box.style, {
        left: `${left}px`,
        top: `${top}px`,
        width: `${right - left}px`,
        height: `${bottom - top}px`,
      });
      return box;
    });
}
