// The states of the page that Undo and Redo move between. A state is never changed once it was recorded.

const MAX_STATES = 200;

export class EditHistory {
  constructor(first) {
    this._states = [first];
    this._at = 0;
  }

  get canUndo() {
    return this._at > 0;
  }

  get canRedo() {
    return this._at < this._states.length - 1;
  }

  // What was undone before is forgotten.
  record(state) {
    this._states = [...this._states.slice(0, this._at + 1), state].slice(-MAX_STATES);
    this._at = this._states.length - 1;
  }

  undo() {
    return this._states[(this._at -= 1)];
  }

  redo() {
    return this._states[(this._at += 1)];
  }
}
