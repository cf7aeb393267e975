// How samples are looked at: the bar of modes, backgrounds and zooms, and the legend with what belongs to one mode.

import { button, h, keepingFocus, replace } from './dom.js';
import { BACKGROUNDS, MODES } from './stage.js';

const TITLES = { picture: 'Picture', matte: 'Matte', heat: 'Heat', difference: 'Difference', merged: 'Merged' };

/** Calls back `look(change)`, `fit()` and `actual()`. */
export class Looking {
  constructor(tools, legend, keymap, actions) {
    Object.assign(this, { tools, legend, keymap, actions });
  }

  /** @param merged whether the sample has a model's own prediction of the whole. */
  show(look, merged) {
    keepingFocus(this.tools, () => this.#drawTools(look, merged));
    this.#drawLegend(look, merged);
  }

  #drawTools(look, merged) {
    const tool = (label, action, pressed, change) =>
      button(label, { key: this.keymap.label(action), pressed, onclick: () => this.actions.look(change) });
    const mode = (name) => tool(TITLES[name], name, look.mode === name, { mode: name });
    const modes = MODES.filter((name) => name !== 'merged' || merged || look.mode === name);
    const swatch = (name) =>
      button('', {
        class: `swatch ${name}`,
        'aria-label': `${name} behind`,
        title: `${name} behind (${this.keymap.label('background')})`,
        pressed: look.background === name,
        onclick: () => this.actions.look({ background: name }),
      });
    replace(
      this.tools,
      h('span', { class: 'joined' }, ...modes.map(mode)),
      tool('Explode', 'explode', look.exploded, { exploded: !look.exploded }),
      h(
        'span',
        { class: 'joined' },
        tool('Boxes', 'boxes', look.boxes, { boxes: !look.boxes }),
        tool('Layout', 'layoutBoxes', look.layoutBoxes, { layoutBoxes: !look.layoutBoxes }),
      ),
      h(
        'span',
        { class: 'swatches', role: 'group', 'aria-label': 'Background' },
        ...BACKGROUNDS.slice(0, -1).map(swatch),
        this.#ownColor(look),
      ),
      h(
        'span',
        { class: 'joined' },
        button('Fit', { key: this.keymap.label('fit'), onclick: () => this.actions.fit() }),
        button('1:1', { key: this.keymap.label('actual'), onclick: () => this.actions.actual() }),
      ),
      button('?', {
        'aria-label': 'All keys',
        title: `All keys (${this.keymap.label('help')})`,
        onclick: () => this.keymap.run('help'),
      }),
    );
  }

  #ownColor(look) {
    const choose = (event) => this.actions.look({ background: 'own', ownColor: event.target.value });
    return h('input', {
      type: 'color',
      value: look.ownColor,
      'aria-label': 'Any colour behind',
      title: 'Any colour behind',
      onchange: choose,
    });
  }

  #drawLegend(look, merged) {
    const comparing = look.mode === 'difference' || look.mode === 'merged';
    const parts = [];
    if (look.mode === 'heat') parts.push(h('span', {}, 'alpha 0'), h('i', { class: 'heat-scale' }), h('span', {}, '1'));
    if (look.mode === 'matte') parts.push(h('span', {}, 'black: clear · white: solid'));
    if (look.mode === 'difference') {
      parts.push(h('span', {}, merged ? 'layers against the merged image' : 'layers against the stored whole image'));
      parts.push(this.#slider('Gain', 'gain', look, 1, 32, 1), h('output', {}, `× ${look.gain}`));
    }
    if (look.exploded && !comparing)
      parts.push(h('span', {}, 'drag to turn'), this.#slider('Apart', 'gap', look, 0.02, 0.6, 0.01));
    this.legend.hidden = !parts.length;
    // A slider that is being dragged must stay the same element.
    const held = this.legend.contains(document.activeElement);
    if (!held) replace(this.legend, ...parts);
    else if (look.mode === 'difference') this.legend.querySelector('output').textContent = `× ${look.gain}`;
  }

  #slider(label, name, look, min, max, step) {
    const change = (event) => this.actions.look({ [name]: Number(event.target.value) });
    return h('label', {}, label, h('input', { type: 'range', min, max, step, value: look[name], oninput: change }));
  }
}
