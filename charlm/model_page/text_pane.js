// A text that a model reads and writes: its tokens in colours, and what may come next.

import { drawBars } from "./bars.js";
import { cutBy, shapeDistribution } from "./distribution.js";
import { make } from "./elements.js";
import { percent, toBits } from "./surprisal.js";
import { describe, TokenCard } from "./token_card.js";
import { TokenText } from "./token_text.js";
import { textOf } from "./text_units.js";

const NUM_BARS = 20;
const HELP = "Text in colours. The arrow keys move from token to token; Enter shows what else could stand there.";

export class TextPane {
  // name: of the pane, for screen readers. controls: elements above the text. onBranch(place, id): a token was chosen
  // for a place of the text. onAppend(token): one was chosen to come next. say(text): tells a screen reader.
  constructor(name, { api, controls = [], onBranch, onAppend, say }) {
    Object.assign(this, { api, onAppend, say, tokens: [], next: null, vocabulary: null });
    this.model = null; // how the api is told which model it is
    this.figures = make("p", { className: "figures soft" });
    this.box = make("div", { className: "text", tabIndex: 0, role: "group", "aria-label": HELP });
    this.summary = make("p", { className: "soft summary" });
    this.bars = make("ol", { className: "bars" });
    this.card = new TokenCard(
      (place, id) => {
        this.text.leave();
        this.box.focus({ preventScroll: true });
        onBranch(place, id);
      },
      () => this.box.focus({ preventScroll: true }),
    );
    const next = make("section", { className: "next", "aria-label": `What comes next, ${name}` });
    next.append(make("h2", {}, "What comes next"), this.summary, this.bars);
    const head = make("div", { className: "pane-head" }, ...controls, this.figures);
    this.reading = make("div", { className: "reading" }, head, this.box);
    const properties = { className: "pane", "aria-label": name };
    this.element = make("section", properties, this.reading, next, this.card.element);
    this.text = new TokenText(this.box, {
      onPoint: (unit, anchor, { pinned }) => this._showCard(unit, anchor, pinned),
      onLeave: () => this.card.hide(),
      onOpen: () => this.card.focus(),
    });
    this.box.addEventListener("scroll", () => this.card.hide());
  }

  // What Undo comes back to.
  get state() {
    const { tokens, vocabulary } = this;
    return { tokens, vocabulary };
  }

  restore({ tokens, vocabulary }) {
    this.show(tokens, vocabulary);
  }

  clear() {
    this.next = null;
    this.summary.textContent = "";
    this.bars.replaceChildren();
    this.show([], this.vocabulary);
  }

  get ids() {
    return this.tokens.map((token) => token.id);
  }

  get plainText() {
    return this.vocabulary === null ? "" : textOf(this.ids, this.vocabulary);
  }

  async read(text, signal) {
    const vocabulary = await this.api.vocabulary(this.model);
    const tokens = await this.api.score(this.model, text, signal);
    this.show(
      tokens.map((token) => ({ ...token, origin: "given" })),
      vocabulary,
    );
    await this.refreshNext(signal);
  }

  // Tokens are shown as they come, once in a frame of the screen. They stay if the signal ends it.
  async write(fields, signal) {
    const waiting = [];
    let frame = null;
    const flush = () => {
      frame = null;
      this._addWritten(waiting.splice(0));
    };
    const onTokens = (added) => {
      waiting.push(...added);
      frame ??= requestAnimationFrame(flush);
    };
    try {
      await this.api.write(this.model, this.ids, fields, onTokens, signal);
    } finally {
      cancelAnimationFrame(frame);
      flush();
      this._showFigures();
    }
  }

  // Shows where the text grows, unless the reader has scrolled up.
  _addWritten(added) {
    const isAtEnd = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 4;
    const tokens = [...this.tokens, ...added.map((token) => ({ ...token, origin: "written" }))];
    this._setTokens(tokens, this.vocabulary);
    if (isAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  show(tokens, vocabulary) {
    this._setTokens(tokens, vocabulary);
    this._showFigures();
  }

  _setTokens(tokens, vocabulary) {
    this.text.show(tokens, vocabulary);
    [this.tokens, this.vocabulary] = [tokens, vocabulary];
  }

  append(token) {
    this.show([...this.tokens, token], this.vocabulary);
  }

  // Another token at a place, with nothing after it.
  replace(place, id) {
    const old = this.tokens[place];
    const logp = old.alternatives.find(([other]) => other === id)[1];
    this.show(
      [...this.tokens.slice(0, place), { id, logp, alternatives: old.alternatives, origin: "chosen" }],
      this.vocabulary,
    );
  }

  async refreshNext(signal) {
    this.element.classList.add("waiting");
    try {
      this.vocabulary ??= await this.api.vocabulary(this.model);
      this.next = await this.api.distribution(this.model, this.ids, signal);
    } finally {
      this.element.classList.remove("waiting");
    }
  }

  // Draws what comes next as the settings would have it.
  drawNext(settings) {
    if (this.next === null) return;
    const { ids, logprobs } = this.next;
    const shaped = shapeDistribution(logprobs, settings);
    const rows = ids.slice(0, NUM_BARS).map((id, index) => {
      const cut = cutBy(shaped, index);
      const share = cut ? shaped.probabilities[index] : shaped.probabilities[index] / shaped.mass;
      return {
        name: this.vocabulary.displayName(id),
        share,
        label: cut ? `cut by ${cut}` : percent(share),
        cut: cut !== null,
      };
    });
    drawBars(this.bars, rows, (index) => {
      const alternatives = ids.slice(0, NUM_BARS).map((id, at) => [id, logprobs[at]]);
      this.onAppend({ id: ids[index], logp: logprobs[index], alternatives, origin: "chosen" });
    });
    this.summary.textContent = summarize(shaped);
  }

  _showCard(unit, anchor, pinned) {
    const tokens = this.tokens.slice(unit.from, unit.to);
    this.card.show({ tokens, place: unit.from, vocabulary: this.vocabulary, anchor, isPassing: !pinned });
    const name = (token) => this.vocabulary.displayName(token.id);
    if (pinned) this.say(tokens.map((token) => `${name(token)}: ${describe(token)}`).join("; "));
  }

  _showFigures() {
    const known = this.tokens.filter((token) => token.logp !== null);
    const bits = known.reduce((total, token) => total + toBits(token.logp), 0);
    const characters = [...this.plainText].length;
    const count = `${this.tokens.length.toLocaleString("en")} token${this.tokens.length === 1 ? "" : "s"}`;
    this.figures.textContent = characters ? `${(bits / characters).toFixed(2)} bits per character · ${count}` : "";
  }
}

function summarize({ numKept, mass, probabilities }) {
  const all = probabilities.length.toLocaleString("en");
  if (numKept === probabilities.length) return `All ${all} tokens can be drawn.`;
  return `${numKept.toLocaleString("en")} of ${all} tokens can be drawn (${percent(mass)} before the cut).`;
}
