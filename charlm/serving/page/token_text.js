// A text in the colours of its surprisals. A reader points at a unit, or moves from one to another with the arrow keys.

import { make } from "./elements.js";
import { cutUnits } from "./text_units.js";
import { levelOf, toBits } from "./surprisal.js";
import { escapeInvisibleLines } from "./visible.js";

export class TokenText {
  // container: an element that can have the focus.
  // onPoint(unit, element, { pinned }): a unit is pointed at; pinned if it was tapped or reached with the keyboard.
  // onLeave(): none is. onOpen(): Enter was pressed on the unit.
  constructor(container, { onPoint, onLeave, onOpen }) {
    this.container = container;
    this.units = [];
    this.elements = []; // of the units
    this.tokens = [];
    this.current = null;
    this.pinned = false;
    Object.assign(this, { onPoint, onLeave, onOpen });
    this._listen();
  }

  // tokens: { id, logp, origin } with logp null where it is not known. Units that did not change are kept.
  show(tokens, vocabulary) {
    const known = this.vocabulary === vocabulary ? this._numSame(tokens) : 0;
    if (this.current !== null && this.current >= known) this.leave();
    while (this.units.length > known) this._removeUnit();
    const from = known ? this.units[known - 1].to : 0;
    const ids = tokens.map((token) => token.id);
    for (const unit of cutUnits(ids, vocabulary, from)) this._addUnit(unit, tokens);
    [this.tokens, this.vocabulary] = [tokens, vocabulary];
  }

  // Each line is a block, so that a browser lays out only the last one while the text grows.
  _addUnit(unit, tokens) {
    const last = this.units.at(-1);
    if (!last || last.isEnd || last.text.endsWith("\n")) {
      this.container.append(make("div", { className: "line", dir: "auto" }));
    }
    const element = makeUnit(unit, tokens);
    this.container.lastChild.append(element);
    this.units.push(unit);
    this.elements.push(element);
  }

  _removeUnit() {
    this.units.pop();
    const element = this.elements.pop();
    const line = element.parentElement;
    element.remove();
    if (!line.hasChildNodes()) line.remove();
  }

  // How many units at the beginning are the same; the last one may still grow.
  _numSame(tokens) {
    let same = 0;
    while (same < tokens.length && tokens[same] === this.tokens[same]) same++;
    let known = this.units.length;
    while (known > 0 && this.units[known - 1].to >= same) known--;
    return known;
  }

  point(index, { pinned = false } = {}) {
    this._mark(false);
    [this.current, this.pinned] = [index, pinned];
    this._mark(true);
    this.onPoint(this.units[index], this.elements[index], { pinned });
  }

  leave() {
    this._mark(false);
    [this.current, this.pinned] = [null, false];
    this.onLeave();
  }

  _mark(isOn) {
    if (this.current !== null) this.elements[this.current].classList.toggle("now", isOn);
  }

  _indexOf(target) {
    return this.elements.indexOf(target.closest(".unit"));
  }

  _listen() {
    const on = (name, listener) => this.container.addEventListener(name, listener);
    on("pointerover", (event) => {
      const index = this._indexOf(event.target);
      if (index >= 0 && !this.pinned && event.pointerType !== "touch") this.point(index);
    });
    on("pointerleave", () => this.pinned || this.leave());
    on("click", (event) => {
      const index = this._indexOf(event.target);
      if (index >= 0) this.point(index, { pinned: true });
    });
    on("focus", () => {
      if (this.units.length && this.container.matches(":focus-visible"))
        this._moveTo(this.current ?? this.units.length - 1);
    });
    on("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.units.length) return;
      if (event.key === "Escape") return this.leave();
      if (event.key === "Enter" && this.current !== null) {
        event.preventDefault();
        return this.onOpen();
      }
      const index = this._target(event.key);
      if (index === null) return;
      event.preventDefault();
      this._moveTo(index);
    });
  }

  _moveTo(index) {
    this.elements[index].scrollIntoView({ block: "nearest" });
    this.point(index, { pinned: true });
  }

  _target(key) {
    const at = this.current ?? this.units.length - 1;
    const last = this.units.length - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) return Math.max(0, Math.min(last, at + step * this._direction(at)));
    if (key === "ArrowDown") return this._nextLine(at, 1);
    if (key === "ArrowUp") return this._nextLine(at, -1);
    return { Home: 0, End: last }[key] ?? null;
  }

  // 1 where the line of a unit begins at the left, -1 where it begins at the right.
  _direction(index) {
    return getComputedStyle(this.elements[index].parentElement).direction === "rtl" ? -1 : 1;
  }

  // The nearest unit of the next line.
  _nextLine(index, step) {
    const elements = this.elements;
    const start = elements[index].getClientRects()[0];
    let best = index;
    let least = Infinity;
    let line = null;
    for (let other = index + step; other >= 0 && other < elements.length; other += step) {
      const box = elements[other].getClientRects()[0];
      if (!box || Math.abs(box.top - start.top) < start.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > box.height / 2) break;
      const away = Math.abs(box.left - start.left);
      if (away < least) [best, least] = [other, away];
    }
    return best;
  }
}

// A unit has no space around it, so that letters of joining scripts stay joined.
function makeUnit(unit, tokens) {
  const own = tokens.slice(unit.from, unit.to);
  const known = own.every((token) => token.logp !== null);
  const bits = own.reduce((total, token) => total + toBits(token.logp ?? 0), 0) / unit.clusters;
  const classes = ["unit", own[0].origin, known ? `c${levelOf(bits)}` : "unknown"];
  if (unit.isEnd) classes.push("end");
  if (unit.from > 0 && own[0].origin !== "given" && tokens[unit.from - 1].origin === "given") classes.push("first");
  return make("span", { className: classes.join(" ") }, escapeInvisibleLines(unit.text) + (unit.isEnd ? "\n" : ""));
}
