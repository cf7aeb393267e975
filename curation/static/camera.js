// Where the viewer looks: a zoom relative to "the whole canvas fits" and a centre relative to the canvas, so that both
// stay what they are from sample to sample.

const LARGEST = 64;
const MARGIN = 28;

export class Camera {
  zoom = 1; // 1: the canvas fits
  centre = [0.5, 0.5]; // of the view, in shares of the canvas
  #view = [1, 1];
  #canvas = [1, 1];

  /** @param view size of the view, @param canvas size of the canvas, both `[width, height]` in pixels. */
  resize(view, canvas) {
    this.#view = view;
    this.#canvas = canvas;
  }

  get fitScale() {
    const [width, height] = this.#view.map((size) => Math.max(1, size - 2 * MARGIN));
    return Math.min(width / this.#canvas[0], height / this.#canvas[1]);
  }

  /** Screen pixels per canvas pixel. */
  get scale() {
    return this.fitScale * this.zoom;
  }

  /** Where the canvas's corner lies in the view, in screen pixels: whole ones, or pixels would straddle the screen's. */
  get origin() {
    return [0, 1].map((axis) => {
      const place = this.#view[axis] / 2 - this.centre[axis] * this.#canvas[axis] * this.scale;
      return Math.round(place * devicePixelRatio) / devicePixelRatio;
    });
  }

  get isFit() {
    return this.zoom === 1;
  }

  fit() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
  }

  /** One canvas pixel on one pixel of the screen. */
  actual() {
    this.zoomTo(1 / (this.fitScale * devicePixelRatio));
  }

  /** Zooms so that the canvas point under `at` (view pixels; its middle when missing) stays where it is. */
  zoomTo(zoom, at = [this.#view[0] / 2, this.#view[1] / 2]) {
    const point = this.toCanvas(at);
    const least = Math.min(0.25, 0.5 / this.fitScale);
    this.zoom = Math.max(least, Math.min(zoom, LARGEST / this.fitScale));
    if (Math.abs(this.zoom - 1) < 0.02) {
      this.fit();
      return;
    }
    const { scale } = this;
    this.centre = [0, 1].map((axis) => (point[axis] + (this.#view[axis] / 2 - at[axis]) / scale) / this.#canvas[axis]);
    this.#keepInView();
  }

  pan(dx, dy) {
    this.centre = [dx, dy].map((way, axis) => this.centre[axis] - way / (this.scale * this.#canvas[axis]));
    this.#keepInView();
  }

  /** Looks at a canvas point (pixels) with `scale` screen pixels per canvas pixel. */
  lookAt(point, scale) {
    this.zoom = scale / this.fitScale;
    this.centre = point.map((place, axis) => place / this.#canvas[axis]);
  }

  /** View pixels → canvas pixels. */
  toCanvas(at) {
    const { origin, scale } = this;
    return [0, 1].map((axis) => (at[axis] - origin[axis]) / scale);
  }

  #keepInView() {
    this.centre = this.centre.map((share) => Math.max(0, Math.min(1, share)));
  }
}
