// The list of layers, uppermost first: choose, hide, show alone, fade, reject.

import { h, keepingFocus, replace, svg } from './dom.js';
import { BASE } from './stage.js';
import { words } from './verdicts.js';

/** Calls back `select(index)`, `toggle(index)`, `solo(index)`, `fade(index, opacity)` and `reject(index)`. */
export class LayersPanel {
  constructor(panel, keymap, actions) {
    this.panel = panel;
    this.keymap = keymap;
    this.actions = actions;
    this.list = h('ol', { class: 'layer-list', 'aria-label': 'Layers, uppermost first' });
    panel.append(h('h2', {}, 'Layers'), this.list);
  }

  show(detail, stage) {
    keepingFocus(this.panel, () => {
      const layers = [...detail.layers].reverse().map((layer) => this.#row(detail, layer, stage));
      replace(this.list, ...layers, this.#row(detail, baseOf(detail), stage));
    });
    // Never `scrollIntoView`: it would also scroll the panel's surroundings.
    const chosen = this.list.querySelector('[aria-current=true]');
    if (!chosen) return;
    const [list, row] = [this.panel.getBoundingClientRect(), chosen.getBoundingClientRect()];
    if (row.top < list.top) this.panel.scrollTop += row.top - list.top - 8;
    else if (row.bottom > list.bottom) this.panel.scrollTop += row.bottom - list.bottom + 8;
  }

  #row(detail, layer, stage) {
    const { state } = stage;
    const { index } = layer;
    const name = index === BASE ? 'base image' : `layer ${index}`;
    const selected = state.selected === index;
    const rejected = layer.verdict === 'reject';
    const flagged = detail.flags?.filter((flag) => flag.layer === index && index !== BASE) ?? [];
    const caption = layer.new_caption || layer.caption;
    return h(
      'li',
      {
        class: ['layer-row', rejected && 'rejected', !stage.isVisible(index) && 'unseen'].filter(Boolean).join(' '),
        'aria-current': selected ? 'true' : undefined,
      },
      h(
        'button',
        {
          type: 'button',
          class: 'layer-pick',
          'aria-label': `Select ${name}: ${caption}`,
          onclick: (event) => (event.altKey ? this.actions.solo(index) : this.actions.select(index)),
        },
        layer.thumb
          ? h('img', { class: 'layer-thumb', src: layer.thumb, alt: '' })
          : h('span', { class: 'layer-thumb' }),
        h(
          'span',
          { class: 'layer-name' },
          h('b', {}, index === BASE ? 'base' : index),
          ' ',
          caption || words(layer.kind),
        ),
      ),
      h(
        'span',
        { class: 'layer-notes' },
        rejected ? h('span', { class: 'badge reject' }, '✕ rejected') : null,
        ...flagged.map((flag) => h('span', { class: 'flag' }, `⚑ ${words(flag.name)}`)),
      ),
      h(
        'span',
        { class: 'layer-tools' },
        h(
          'button',
          {
            type: 'button',
            class: 'icon',
            'aria-label': `Show ${name}`,
            'aria-pressed': String(!state.hidden.has(index)),
            title: `Show or hide (${this.keymap.label('toggleLayer')}); Alt-click: only this`,
            onclick: (event) => (event.altKey ? this.actions.solo(index) : this.actions.toggle(index)),
          },
          eye(!state.hidden.has(index)),
        ),
        h(
          'button',
          {
            type: 'button',
            class: 'icon',
            'aria-label': `Only ${name}`,
            'aria-pressed': String(state.solo === index),
            title: `Only this layer (${this.keymap.label('soloLayer')})`,
            onclick: () => this.actions.solo(index),
          },
          '◉',
        ),
        index === BASE
          ? null
          : h(
              'button',
              {
                type: 'button',
                class: 'icon reject',
                'aria-label': `Reject ${name}`,
                'aria-pressed': String(rejected),
                title: `${rejected ? 'Restore' : 'Reject'} the layer (${this.keymap.label('rejectLayer')})`,
                onclick: () => this.actions.reject(index),
              },
              '✕',
            ),
      ),
      selected ? this.#opacity(index, name, state.opacity.get(index) ?? 1) : null,
    );
  }

  #opacity(index, name, opacity) {
    const shown = h('output', {}, `${Math.round(100 * opacity)} %`);
    const slider = h('input', {
      type: 'range',
      min: 0,
      max: 1,
      step: 0.05,
      value: opacity,
      'aria-label': `Opacity of ${name}`,
    });
    slider.addEventListener('input', () => {
      shown.textContent = `${Math.round(100 * slider.value)} %`;
      this.actions.fade(index, Number(slider.value));
    });
    return h('label', { class: 'opacity' }, h('span', { class: 'quiet' }, 'Opacity'), slider, shown);
  }
}

function baseOf(detail) {
  return { index: BASE, kind: 'base', caption: detail.base_caption, thumb: detail.images.base, verdict: null };
}

function eye(open) {
  return svg(
    'svg',
    { viewBox: '0 0 20 20', width: 17, height: 17, 'aria-hidden': 'true', class: 'eye' },
    svg('path', {
      d: 'M2 10c2.2-3.6 4.9-5.4 8-5.4s5.800 1.800 8 5.400c-2.200 3.600-4.900 5.400-8 5.400s-5.800-1.800-8-5.400Z',
    }),
    open ? svg('circle', { cx: 10, cy: 10, r: 2.6 }) : svg('path', { d: 'M3 17 17 3' }),
  );
}
