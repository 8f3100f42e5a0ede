// A text with its tags: each tagged part has the name of its tag below it, and a colour. Pointing at it tells the
// probability.
//
//   tags of single characters that are equal and side by side are shown as one part

import { make } from "./elements.js";
import { Pointing } from "./pointing.js";
import { percent } from "./surprisal.js";
import { escapeInvisible, escapeInvisibleLines } from "./visible.js";

const NUM_COLOURS = 8;
const NUM_LINES = 3; // below a part: none, solid, dashed; so 24 kinds of tags look different
const HELP = "Text with tags. The arrow keys move from tag to tag.";

export class TaggedText {
  // say(text): tells a screen reader.
  constructor(say) {
    this.legend = make("ul", { className: "tag-legend", "aria-label": "Tags in this text" });
    this.box = make("div", { className: "predicted tagged", tabIndex: 0, role: "group", "aria-label": HELP });
    this.detail = make("p", { className: "detail soft" });
    this.restored = make("p", { className: "restored", dir: "auto" });
    this.element = make("div", {}, this.legend, this.box, this.detail, this.restored);
    this._parts = [];
    this._elements = [];
    this._pointing = new Pointing(this.box, this._elements, {
      onPoint: (index, _, { pinned }) => {
        this.detail.textContent = describe(this._parts[index]);
        if (pinned) say(this.detail.textContent);
      },
      onLeave: () => (this.detail.textContent = ""),
    });
  }

  leave() {
    this._pointing.leave();
  }

  // labels: all tags of the model. Returns what a screen reader is told.
  show({ text, tags, restored }, { labels }) {
    this.leave();
    const kindOf = numberKinds(labels);
    const characters = [...text];
    this._parts = joinParts(characters, tags, labels);
    this._elements.splice(0);
    this.box.replaceChildren();
    let line = this._addLine();
    let end = 0;
    for (const part of this._parts) {
      line = this._addPlain(line, characters.slice(end, part.start).join(""));
      line.append(this._makePart(part, kindOf(part.tag)));
      end = part.end;
    }
    this._addPlain(line, characters.slice(end).join(""));
    this._showLegend(kindOf);
    this.restored.textContent = restored === undefined ? "" : `Restored: ${escapeInvisibleLines(restored)}`;
    return `${this._parts.length} tags`;
  }

  _addLine() {
    const line = make("div", { className: "line", dir: "auto" });
    this.box.append(line);
    return line;
  }

  // Text between tags; returns the last line.
  _addPlain(line, text) {
    const [first, ...others] = text.split("\n");
    line.append(escapeInvisible(first));
    for (const other of others) {
      line = this._addLine();
      line.append(escapeInvisible(other));
    }
    return line;
  }

  _makePart(part, kind) {
    const name = make("rt", {}, escapeInvisible(part.tag));
    const element = make("ruby", { className: `unit ${classOf(kind)}` }, escapeInvisible(part.text), name);
    this._elements.push(element);
    return element;
  }

  _showLegend(kindOf) {
    const counts = new Map();
    for (const { tag, count } of this._parts) counts.set(tag, (counts.get(tag) ?? 0) + count);
    const sorted = [...counts].sort(([a], [b]) => kindOf(a) - kindOf(b));
    const items = sorted.map(([tag, count]) =>
      make("li", {}, make("span", { className: classOf(kindOf(tag)) }, escapeInvisible(tag)), ` ${count}`),
    );
    this.legend.replaceChildren(...items);
  }
}

const classOf = (kind) => `tag t${kind % NUM_COLOURS} u${Math.floor(kind / NUM_COLOURS) % NUM_LINES}`;

const describe = ({ text, tag, probability }) =>
  `${escapeInvisible(text)}: ${escapeInvisible(tag)}, probability ${percent(probability)}`;

// A function from a tag to its number. Segments lose the B- and I- of the labels that begin and continue them.
function numberKinds(labels) {
  const kinds = [...new Set(labels.map((label) => label.replace(/^[BI]-/, "")))];
  const numbers = new Map(kinds.map((kind, number) => [kind, number]));
  return (tag) => numbers.get(tag) ?? numbers.get(tag.replace(/^[BI]-/, "")) ?? 0;
}

// { start, end, text, tag, probability, count } of each part; its probability is that of its least certain tag.
function joinParts(characters, tags, labels) {
  const known = new Set(labels);
  const parts = [];
  for (const [start, end, tag, probability] of tags) {
    const last = parts.at(-1);
    const isSame = last?.tag === tag && last.end === start && end === start + 1 && last.isOfCharacters;
    if (isSame && known.has(tag)) {
      Object.assign(last, { end, probability: Math.min(last.probability, probability), count: last.count + 1 });
    } else {
      parts.push({ start, end, tag, probability, count: 1, isOfCharacters: end === start + 1 });
    }
  }
  return parts.map((part) => ({ ...part, text: characters.slice(part.start, part.end).join("") }));
}
