// All keys, and how to change them.

import { ACTIONS, keyLabel, keyOf } from './keys.js';
import { button, h, keepingFocus, replace } from './dom.js';

const HELD = ['Shift', 'Control', 'Alt', 'Meta', 'CapsLock', 'Dead'];

export class Help {
  #waiting = null; // the action whose new key is awaited

  constructor(dialog, keymap) {
    this.dialog = dialog;
    this.keymap = keymap;
    this.message = h('p', { class: 'quiet', role: 'status' });
    this.tables = h('div', { class: 'key-groups' });
    dialog.setAttribute('aria-labelledby', 'help-title');
    dialog.append(
      h('h2', { id: 'help-title' }, 'Keys'),
      h(
        'p',
        { class: 'quiet' },
        'Keys do nothing while you type. Click one to change it; it stays yours. ' +
          'In the grid, arrows move and Shift extends the selection; ' +
          'in the viewer, drag moves, the wheel zooms, Alt-click shows a layer alone.',
      ),
      this.message,
      this.tables,
      h(
        'footer',
        {},
        button('All as they were', { onclick: () => this.#reset() }),
        button('Close', { class: 'primary', onclick: () => dialog.close() }),
      ),
    );
    dialog.addEventListener('keydown', (event) => this.#key(event));
    dialog.addEventListener('close', () => (this.#waiting = null));
  }

  open() {
    this.message.textContent = '';
    this.#draw();
    this.dialog.showModal();
  }

  #draw() {
    const groups = new Map(ACTIONS.map(({ group }) => [group, ACTIONS.filter((action) => action.group === group)]));
    keepingFocus(this.dialog, () =>
      replace(
        this.tables,
        ...[...groups].map(([group, actions]) =>
          h(
            'section',
            {},
            h('h3', {}, group),
            h('dl', { class: 'keys' }, ...actions.flatMap((action) => this.#row(action))),
          ),
        ),
      ),
    );
  }

  #row({ name, title }) {
    const waiting = this.#waiting === name;
    const label = waiting ? 'press a key' : this.keymap.label(name);
    const change = h(
      'button',
      {
        type: 'button',
        class: waiting ? 'key waiting' : 'key',
        'aria-label': `${title}: ${this.keymap.key(name)}. Change`,
        onclick: () => this.#ask(name),
      },
      label,
    );
    return [h('dt', {}, change), h('dd', {}, title)];
  }

  #ask(name) {
    this.#waiting = this.#waiting === name ? null : name;
    this.message.textContent = this.#waiting ? 'Press the new key, or Esc to leave it.' : '';
    this.#draw();
  }

  #key(event) {
    if (!this.#waiting || HELD.includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const name = this.#waiting;
    this.#waiting = null;
    const key = keyOf(event);
    const other = this.keymap.conflict(name, key);
    if (key === 'Escape' && this.keymap.key(name) !== 'Escape') this.message.textContent = '';
    else if (other) this.message.textContent = `${keyLabel(key)} already means “${other.title}”.`;
    else {
      this.keymap.change(name, key);
      this.message.textContent = `Changed to ${keyLabel(key)}.`;
    }
    this.#draw();
  }

  #reset() {
    this.keymap.reset();
    this.message.textContent = 'All keys are as they were.';
    this.#draw();
  }
}
