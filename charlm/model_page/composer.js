// The field of the text and its buttons: reading while the reader types, writing, stopping, Undo and Redo.
//
//   text ──read──> panes ──write, choose a token──> a longer text in the panes ──record──> history <──Undo, Redo

import { Activity } from "./activity.js";
import { EditHistory } from "./edit_history.js";

export const find = (id) => document.getElementById(id);

export class Composer {
  // readAfter: milliseconds without a key press. handlers:
  //   read(text, signal): the panes show a text.          write(): the reader wants them to go on.
  //   getState(), restore(state): what Undo comes back to. takeText(): what "Edit result" puts into the field.
  //   leave(): the reader has clicked elsewhere.
  constructor({ readAfter, ...handlers }) {
    this.input = find("text");
    this.writeButton = find("write");
    this.activity = new Activity({
      onChange: (state) => this._showBusy(state),
      onError: (message) => this.tell(message, true),
    });
    this.textRead = null; // what of the field the panes show
    this._readAfter = readAfter;
    this._handlers = handlers;
    this._history = null; // from the first text that was read
    this._timer = null;
    this._action = "Write";
  }

  // Names what the first button does while nothing is written.
  nameAction(name) {
    this._action = name;
    if (!this.writeButton.classList.contains("stop")) this.writeButton.textContent = name;
  }

  get isRead() {
    return this.textRead === this.input.value;
  }

  tell(text, isError = false) {
    find("status").textContent = text;
    find("status").classList.toggle("error", isError);
  }

  // ---- reading and writing

  // Does something in place of what went on before.
  begin(run, options) {
    return this.activity.begin(run, options);
  }

  readNow() {
    return this.begin((signal) => this._readField(signal));
  }

  // Lets the panes write, once they have read the field.
  write(run) {
    this.wait();
    const readAndRun = async (signal) => {
      if (!this.isRead) await this._readField(signal);
      await run(signal);
    };
    return this.begin(readAndRun, { isWriting: true });
  }

  // Does not read what was typed before the reader asks for it.
  wait() {
    clearTimeout(this._timer);
  }

  async _readField(signal) {
    const text = this.input.value;
    await this._handlers.read(text, signal);
    this.textRead = text;
    this.record();
  }

  _readSoon() {
    this.wait();
    this._timer = setTimeout(() => this.readNow(), this._readAfter);
  }

  _toggleWriting() {
    if (this.writeButton.classList.contains("stop")) this.activity.end();
    else this._handlers.write();
  }

  _showBusy({ isBusy, isWriting }) {
    this.writeButton.textContent = isWriting ? "Stop" : this._action;
    this.writeButton.classList.toggle("stop", isWriting);
    document.body.classList.toggle("busy", isBusy);
  }

  // ---- Undo and Redo

  record() {
    const state = { text: this.input.value, own: this._handlers.getState() };
    if (this._history === null) this._history = new EditHistory(state);
    else this._history.record(state);
    this._showHistory();
  }

  async undo() {
    await this.activity.endAndWait();
    if (this._history?.canUndo) this._restore(this._history.undo());
  }

  async redo() {
    await this.activity.endAndWait();
    if (this._history?.canRedo) this._restore(this._history.redo());
  }

  _restore({ text, own }) {
    this.wait();
    this.input.value = this.textRead = text;
    this._showHistory();
    this.tell("");
    this._handlers.restore(own);
  }

  _showHistory() {
    find("undo").setAttribute("aria-disabled", String(!this._history?.canUndo));
    find("redo").setAttribute("aria-disabled", String(!this._history?.canRedo));
  }

  // ---- the reader

  listen() {
    this.input.addEventListener("input", () => this._readSoon());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this._toggleWriting();
    });
    this.writeButton.addEventListener("click", () => this._toggleWriting());
    find("undo").addEventListener("click", () => this.undo());
    find("redo").addEventListener("click", () => this.redo());
    find("take").addEventListener("click", () => {
      this.input.value = this._handlers.takeText() || this.input.value;
      this.readNow();
    });
    document.addEventListener("keydown", (event) => {
      const isField = event.target.matches("input, textarea"); // which have an Undo of their own
      if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || isField) return;
      event.preventDefault();
      if (event.shiftKey) this.redo();
      else this.undo();
    });
    document.addEventListener("click", (event) => {
      if (!event.target.closest(".text, .predicted, .card")) this._handlers.leave();
    });
  }
}

// A text that is stopped keeps what was written.
export async function untilStopped(writing) {
  try {
    await writing;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}
