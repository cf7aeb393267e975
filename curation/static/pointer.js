// The pointer on a stage: drag to pan (or to turn the stack), wheel to zoom, click to choose a layer, rest to read a pixel.

import { BASE } from './stage.js';

const CLICK_PIXELS = 4;
const TURN_PER_PIXEL = 0.4;

/** How many times larger one turn of the wheel makes the picture. */
export function wheelFactor(event) {
  return Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016));
}

/**
 * Listens on a stage.
 *
 * @param actions `zoom(factor, at)`, `pan(dx, dy)`, `turn(dx, dy)` in degrees, `choose(layer, alone)`, `reset()` on a
 *     double click, and `probe(text)` with what is under the pointer.
 */
export function followPointer(stage, actions) {
  const { host } = stage;
  let drag = null;
  host.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      actions.zoom(wheelFactor(event), stage.at(event));
    },
    { passive: false },
  );
  host.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    host.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, far: 0 };
  });
  host.addEventListener('pointermove', (event) => {
    if (!drag) {
      actions.probe(probed(stage, event));
      return;
    }
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag = { x: event.clientX, y: event.clientY, far: drag.far + Math.hypot(dx, dy) };
    if (stage.isExploded && !event.shiftKey) actions.turn(-dy * TURN_PER_PIXEL, dx * TURN_PER_PIXEL);
    else actions.pan(dx, dy);
  });
  host.addEventListener('pointerup', (event) => {
    const layer = drag && drag.far < CLICK_PIXELS ? under(stage, event) : null;
    drag = null;
    if (layer !== null) actions.choose(layer, event.altKey);
  });
  host.addEventListener('pointercancel', () => (drag = null));
  host.addEventListener('pointerleave', () => actions.probe(''));
  host.addEventListener('dblclick', () => actions.reset());
}

function under(stage, event) {
  if (!stage.isExploded) return stage.pick(stage.at(event))?.layer ?? null;
  const image = document
    .elementsFromPoint(event.clientX, event.clientY)
    .find((element) => element.classList.contains('layer'));
  return image ? Number(image.closest('.plane').dataset.layer) : null;
}

function probed(stage, event) {
  const found = stage.isExploded ? null : stage.pick(stage.at(event));
  if (!found?.color) return '';
  const [red, green, blue, alpha] = found.color;
  const layer = found.layer === BASE ? 'base' : `layer ${found.layer}`;
  return `${found.x}, ${found.y}   ${layer}   alpha ${alpha} (${(alpha / 255).toFixed(2)})   rgb ${red} ${green} ${blue}`;
}
