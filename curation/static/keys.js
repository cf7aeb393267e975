// Keys: which action each one means, where, and how a person changes that.

import { Signal } from './store.js';

const VIEWS = {
  grid: ['grid'],
  viewer: ['viewer'],
  compare: ['compare'],
  review: ['grid', 'viewer'],
  looking: ['viewer', 'compare'],
  all: ['grid', 'viewer', 'compare'],
};

/** All actions that have a key. `where` is a name of `VIEWS`; one key may mean different things in different views. */
export const ACTIONS = [
  ['pro', 'Pro: among the best', 'Deciding', 'review', 'p'],
  ['keep', 'Keep', 'Deciding', 'review', 'k'],
  ['reject', 'Reject', 'Deciding', 'review', 'x'],
  ['skip', 'Skip: decide nothing', 'Deciding', 'review', 's'],
  ['reasons', 'Reject with reasons …', 'Deciding', 'review', 'r'],
  ['undo', 'Undo', 'Deciding', 'review', 'z'],
  ['redo', 'Redo', 'Deciding', 'review', 'y'],
  ['rate1', 'Rate 1', 'Deciding', 'viewer', '1'],
  ['rate2', 'Rate 2', 'Deciding', 'viewer', '2'],
  ['rate3', 'Rate 3', 'Deciding', 'viewer', '3'],
  ['rate4', 'Rate 4', 'Deciding', 'viewer', '4'],
  ['rate5', 'Rate 5', 'Deciding', 'viewer', '5'],
  ['caption', 'Edit the caption', 'Deciding', 'viewer', 'c'],
  ['rejectLayer', 'Reject or restore the layer', 'Layers', 'viewer', 'd'],
  ['layerReasons', 'Reject the layer with reasons …', 'Layers', 'viewer', 'Shift+D'],
  ['layerCaption', "Edit the layer's caption", 'Layers', 'viewer', 'Shift+C'],
  ['layerUp', 'Select the layer above', 'Layers', 'viewer', 'ArrowUp'],
  ['layerDown', 'Select the layer below', 'Layers', 'viewer', 'ArrowDown'],
  ['toggleLayer', 'Hide or show the layer', 'Layers', 'viewer', 'v'],
  ['soloLayer', 'Only this layer, or all again', 'Layers', 'viewer', 'o'],
  ['fainter', 'Less opaque', 'Layers', 'viewer', ','],
  ['denser', 'More opaque', 'Layers', 'viewer', '.'],
  ['picture', 'Picture', 'Looking', 'looking', 'i'],
  ['matte', 'Matte: alpha as gray', 'Looking', 'looking', 'm'],
  ['heat', 'Heat: alpha as colour, faint haze loud', 'Looking', 'looking', 'h'],
  ['difference', 'Difference: layers against the stored picture', 'Looking', 'viewer', 'f'],
  ['merged', 'What the model itself took the whole to be', 'Looking', 'viewer', 'u'],
  ['explode', 'Exploded stack', 'Looking', 'looking', 'e'],
  ['edge', 'Next place on the edge, large', 'Looking', 'viewer', 'w'],
  ['boxes', 'Boxes', 'Looking', 'looking', 'b'],
  ['layoutBoxes', 'Boxes that the layout asked for', 'Looking', 'viewer', 'l'],
  ['background', 'Next background', 'Looking', 'looking', 'g'],
  ['zoomIn', 'Larger', 'Looking', 'looking', '+'],
  ['zoomOut', 'Smaller', 'Looking', 'looking', '-'],
  ['fit', 'Whole picture in view', 'Looking', 'looking', '0'],
  ['actual', 'One pixel to one pixel', 'Looking', 'looking', '9'],
  ['next', 'Next sample', 'Moving', 'viewer', 'ArrowRight'],
  ['previous', 'Previous sample', 'Moving', 'viewer', 'ArrowLeft'],
  ['close', 'Back to the grid', 'Moving', 'viewer', 'Escape'],
  ['open', 'Open the sample', 'Moving', 'grid', 'Enter'],
  ['select', 'Select or unselect the sample', 'Moving', 'grid', 'Space'],
  ['selectAll', 'Select all that the filters leave', 'Moving', 'grid', 'Ctrl+A'],
  ['clear', 'Clear the selection', 'Moving', 'grid', 'Escape'],
  ['search', 'Search captions', 'Moving', 'grid', '/'],
  ['start', 'Review the queue', 'Moving', 'grid', 'q'],
  ['team', 'Team and agreement', 'Moving', 'review', 't'],
  ['left', 'The left one is better', 'Comparing', 'compare', 'ArrowLeft'],
  ['draw', 'A draw', 'Comparing', 'compare', 'ArrowDown'],
  ['right', 'The right one is better', 'Comparing', 'compare', 'ArrowRight'],
  ['back', 'Back to the question before', 'Comparing', 'compare', 'Backspace'],
  ['help', 'All keys', 'Help', 'all', '?'],
].map(([name, title, group, where, key]) => ({ name, title, group, where, key }));

const DEFAULTS = Object.fromEntries(ACTIONS.map(({ name, key }) => [name, key]));

/** Which key does what. */
export class Keymap {
  changes = new Signal(0); // set whenever a key has changed: what shows keys draws itself again
  view = 'grid';
  #handlers = new Map();
  #changed;

  /** @param changed the reviewer's own keys by action; @param save takes them when they change. */
  constructor(changed, save) {
    this.#changed = { ...changed };
    this.save = save;
  }

  key(name) {
    return this.#changed[name] ?? DEFAULTS[name];
  }

  /** How a key is shown to people. */
  label(name) {
    return keyLabel(this.key(name));
  }

  /** The action that already has `key` where `name` would have it, or undefined. */
  conflict(name, key) {
    const wanted = ACTIONS.find((action) => action.name === name);
    const meets = (other) => VIEWS[other.where].some((view) => VIEWS[wanted.where].includes(view));
    return ACTIONS.find((other) => other.name !== name && meets(other) && this.key(other.name) === key);
  }

  change(name, key) {
    this.#changed[name] = key;
    if (key === DEFAULTS[name]) delete this.#changed[name];
    this.#tell();
  }

  reset() {
    this.#changed = {};
    this.#tell();
  }

  /** In `view`, the key of an action calls its handler. */
  on(view, handlers) {
    for (const [name, handler] of Object.entries(handlers)) this.#handlers.set(`${view} ${name}`, handler);
  }

  /** Does what the action's key does in the present view. */
  run(name) {
    this.#handlers.get(`${this.view} ${name}`)?.();
  }

  #tell() {
    this.save(this.#changed);
    this.changes.value += 1;
  }

  /** Listens on the whole document, but not to what is typed or meant for a control or a dialog. */
  listen() {
    document.addEventListener('keydown', (event) => {
      if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
      const key = keyOf(event);
      if (isTyping(event.target) || isForControl(event.target, key)) return;
      const action = ACTIONS.find(({ name, where }) => VIEWS[where].includes(this.view) && this.key(name) === key);
      const handler = action && this.#handlers.get(`${this.view} ${action.name}`);
      if (!handler) return;
      // A key that is held down moves on and on, but it decides once.
      if (!(event.repeat && action.group === 'Deciding')) handler();
      event.preventDefault();
    });
  }
}

/** A key press as text: `Ctrl+A`, `Shift+D`, `ArrowUp`, `?`. Command on a Mac counts as Ctrl. */
export function keyOf(event) {
  let key = event.key === ' ' ? 'Space' : event.key;
  const letter = /^\p{L}$/u.test(key);
  const held = [];
  if (event.ctrlKey || event.metaKey) held.push('Ctrl');
  if (event.altKey) held.push('Alt');
  if (event.shiftKey && (letter || key.length > 1)) held.push('Shift');
  if (letter) key = held.length ? key.toUpperCase() : key.toLowerCase();
  return [...held, key].join('+');
}

export function keyLabel(key) {
  const signs = {
    ArrowUp: '↑',
    ArrowDown: '↓',
    ArrowLeft: '←',
    ArrowRight: '→',
    Escape: 'Esc',
    Shift: '⇧',
    Backspace: '⌫',
    Enter: '⏎',
  };
  if (key === '+') return '+';
  return key
    .split('+')
    .map((part) => signs[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join(' ');
}

function isTyping(element) {
  if (element.isContentEditable || element.matches('textarea, select')) return true;
  return element.matches('input') && !['checkbox', 'radio', 'button', 'range', 'color', 'file'].includes(element.type);
}

// Keys that the focused control itself answers to.
function isForControl(element, key) {
  if (['Enter', 'Space'].includes(key)) return element.matches('button, a[href], summary, input');
  return key.startsWith('Arrow') && element.matches('input[type=range], input[type=radio], input[type=color]');
}
