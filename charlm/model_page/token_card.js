// A card beside a unit of the text: how probable it was, and what else could have stood there.

import { drawBars } from "./bars.js";
import { make, makeName } from "./elements.js";
import { percent, toBits } from "./surprisal.js";

const MARGIN = 8; // pixels
const MAX_LISTS = 6; // an emoji in bytes has more

export class TokenCard {
  // onChoose(place, id): another token shall stand at this place of the text.
  // onClose(): the reader closes the card with the keyboard.
  constructor(onChoose, onClose) {
    this.element = make("div", {
      className: "card",
      role: "dialog",
      "aria-label": "What else could stand here",
      hidden: true,
    });
    this.onChoose = onChoose;
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") onClose();
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = [...this.element.querySelectorAll("button")];
      buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    });
  }

  // tokens: those of the unit, the first of which is at `place`.
  // anchor: the element of the unit. isPassing: the card does not stay, so that the pointer goes through it.
  show({ tokens, place, vocabulary, anchor, isPassing }) {
    const lists = tokens.slice(0, MAX_LISTS).map((token, index) => this._list(token, place + index, vocabulary));
    this.element.replaceChildren(...lists);
    const numHidden = tokens.length - lists.length;
    if (numHidden > 0) this.element.append(make("p", { className: "soft" }, `and ${numHidden} tokens more`));
    this.element.classList.toggle("passing", isPassing);
    this.element.hidden = false;
    for (const taken of this.element.querySelectorAll(".taken")) showRow(taken);
    this._place(anchor);
  }

  hide() {
    this.element.hidden = true;
  }

  focus() {
    (this.element.querySelector("[aria-current]") ?? this.element.querySelector("button"))?.focus();
  }

  _list(token, place, vocabulary) {
    const found = make("div", { className: "alternatives" });
    found.append(
      make("p", { className: "head" }, makeName(vocabulary.displayName(token.id)), make("strong", {}, inBits(token))),
    );
    found.append(make("p", { className: "soft" }, describe(token)));
    if (token.logp === null) return found;
    const list = make("ol", { className: "bars" });
    const rows = token.alternatives.map(([id, logp]) => {
      const share = Math.exp(logp);
      return { name: vocabulary.displayName(id), share, label: percent(share), isTaken: id === token.id };
    });
    drawBars(list, rows, (index) => this.onChoose(place, token.alternatives[index][0]));
    found.append(list);
    return found;
  }

  // Below the unit, or above it where there is no room.
  _place(anchor) {
    const box = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
    const root = document.documentElement;
    const widest = root.clientWidth - this.element.offsetWidth - MARGIN;
    const below = box.bottom + MARGIN;
    const above = box.top - MARGIN - this.element.offsetHeight;
    const isBelow = below + this.element.offsetHeight <= root.clientHeight || above < 0;
    this.element.style.left = `${scrollX + Math.max(MARGIN, Math.min(box.left, widest))}px`;
    this.element.style.top = `${scrollY + (isBelow ? below : above)}px`;
  }
}

// Scrolls the list of a row, and not the page.
function showRow(row) {
  const list = row.parentElement;
  list.scrollTop = row.offsetTop + row.offsetHeight - list.offsetTop - list.clientHeight;
}

const inBits = (token) => (token.logp === null ? "" : `${toBits(token.logp).toFixed(2)} bits`);

// One sentence, also for a screen reader.
export function describe(token) {
  if (token.logp === null) return "the model was not asked for this token";
  const rank = token.alternatives.findIndex(([id]) => id === token.id) + 1;
  const isKnown = rank > 0 && rank < token.alternatives.length; // the last one may be there as the token itself only
  return `probability ${percent(Math.exp(token.logp))}${isKnown ? `, rank ${rank}` : ""}`;
}
