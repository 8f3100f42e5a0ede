// The cards of effects: how the probability of the label changes where a character is left out.
"use strict";
const makeCards = (cards, { make, nameOf, percent, inBits }) => (number, element) => {
  const effect = cards.effects[number] / 1000, sign = effect > 0 ? "+" : "";
  const parts = [make("div", [make("bdi", nameOf(element)), make("strong", sign + inBits(effect))], "head")];
  const side = effect === 0 ? "no effect on" : effect > 0 ? "speaks for" : "speaks against";
  const about = make("p", [`${side} `, make("bdi", cards.label)]);
  const characters = Number(element.dataset.characters || 1);
  if (characters > 1) about.append(`; ${characters} characters left out together`);
  parts.push(about, make("p", `probability ${percent(cards.bits)}; without ${characters > 1 ? "them" : "it"} ${percent(cards.bits_without[number] / 1000)}`));
  return parts;
};
