// The cards of tokens, and of tags: how probable each is, and the most probable alternatives.
"use strict";
const makeCards = (cards, { make, nameOf, percent, inBits }) => {
  const firsts = [0]; // the index of the first token of each element of the text
  for (const size of cards.sizes) firsts.push(firsts.at(-1) + size);
  const isTag = cards.noun === "tag", mostTokens = 8;

  function tokenAt(position) {
    const alternatives = [];
    for (let k = position * cards.top; k < (position + 1) * cards.top; k++) {
      alternatives.push({ id: cards.top_ids[k], bits: cards.top_bits[k] / 1000 });
    }
    return { id: cards.ids[position], bits: cards.bits[position] / 1000, rank: cards.ranks[position], alternatives };
  }

  // The likeliest tokens with bars. The token of the text is highlighted, and comes last where it is not among them.
  function table(token) {
    const made = make("table");
    const rows = token.alternatives.map((each, index) => ({ ...each, rank: index + 1, came: each.id === token.id }));
    if (!rows.some((row) => row.came)) rows.push({ ...token, came: true });
    for (const each of rows) {
      const bar = make("span", "", "bar"), row = made.insertRow();
      bar.style.width = `${100 * 2 ** -each.bits}%`;
      if (each.came) row.className = "came";
      row.append(make("td", `${each.rank}`), make("td", [make("bdi", cards.symbols[each.id])]));
      row.append(make("td", [bar], "track"), make("td", percent(each.bits), "number"));
    }
    return made;
  }

  // Several tokens or tags belong to this element: a row for each, with the expected ones.
  function list(tokens) {
    const made = make("table");
    for (const token of tokens.slice(0, mostTokens)) {
      const row = made.insertRow(), expected = token.alternatives.slice(0, 3);
      const names = expected.map((each) => `${cards.symbols[each.id]} ${percent(each.bits)}`).join(" · ");
      const about = make("p", `${percent(token.bits)}, rank ${token.rank}; expected ${names}`);
      row.append(make("td", [make("bdi", cards.symbols[token.id])]), make("td", [about]), make("td", token.bits.toFixed(2)));
    }
    if (tokens.length > mostTokens) made.insertRow().append(make("td", "…"), make("td", `and ${tokens.length - mostTokens} more`));
    return made;
  }

  // The bits of a text add up. Of several tags the least certain one counts.
  const total = (tokens) =>
    isTag ? Math.max(...tokens.map((token) => token.bits)) : tokens.reduce((sum, token) => sum + token.bits, 0);

  return (number, element) => {
    const tokens = [], shown = nameOf(element);
    for (let at = firsts[number]; at < firsts[number + 1]; at++) tokens.push(tokenAt(at));
    if (!tokens.length) return [make("div", [make("bdi", shown)], "head"), make("p", `no ${cards.noun} is asked for here`)];
    const bits = total(tokens), only = tokens.length === 1, symbol = cards.symbols[tokens[0].id];
    const parts = [make("div", [make("bdi", only && !isTag ? symbol : shown), make("strong", inBits(bits))], "head")];
    const several = isTag ? `the least certain of ${tokens.length} tags` : `spelled in ${tokens.length} tokens`;
    const about = only ? `rank ${tokens[0].rank}` : several;
    parts.push(make("p", `${isTag && only ? `${symbol}, ` : ""}probability ${percent(bits)}, ${about}`));
    const characters = Number(element.dataset.characters || 1);
    if (characters > 1 && !isTag) parts.push(make("p", `${inBits(bits / characters)} for each of ${characters} characters`));
    return [...parts, only ? table(tokens[0]) : list(tokens)];
  };
};
