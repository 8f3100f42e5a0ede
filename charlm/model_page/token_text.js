// A text in the colours of its surprisals. A reader points at a unit, or moves from one to another with the arrow keys.

import { make } from "./elements.js";
import { Pointing } from "./pointing.js";
import { levelOf, toBits } from "./surprisal.js";
import { cutUnits } from "./text_units.js";
import { escapeInvisibleLines } from "./visible.js";

export class TokenText {
  // container: an element that can have the focus.
  // onPoint(unit, element, { pinned }), onLeave(), onOpen(): as in pointing.js.
  constructor(container, { onPoint, onLeave, onOpen }) {
    this.container = container;
    this.units = [];
    this.elements = []; // of the units
    this.tokens = [];
    this.pointing = new Pointing(container, this.elements, {
      onPoint: (index, element, options) => onPoint(this.units[index], element, options),
      onLeave,
      onOpen,
    });
  }

  // tokens: { id, logp, origin } with logp null where it is not known. Units that did not change are kept.
  show(tokens, vocabulary) {
    const known = this.vocabulary === vocabulary ? this._numSame(tokens) : 0;
    if (this.pointing.current !== null && this.pointing.current >= known) this.leave();
    while (this.units.length > known) this._removeUnit();
    const from = known ? this.units[known - 1].to : 0;
    const ids = tokens.map((token) => token.id);
    for (const unit of cutUnits(ids, vocabulary, from)) this._addUnit(unit, tokens);
    [this.tokens, this.vocabulary] = [tokens, vocabulary];
  }

  leave() {
    this.pointing.leave();
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
