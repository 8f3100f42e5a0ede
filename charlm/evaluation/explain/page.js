// Shows the card of a character on pointing, tapping or the arrow keys. Without this script the colours remain.
"use strict";
(() => {
  const costs = JSON.parse(document.getElementById("costs").textContent);
  const text = document.getElementById("text"), card = document.getElementById("card"), root = document.documentElement;
  const blocks = [...text.children], froms = blocks.map((block) => Number(block.dataset.from));
  const firsts = [0]; // the index of the first token of each element of the text
  for (const size of costs.sizes) firsts.push(firsts.at(-1) + size);
  const mostTokens = 8;
  let current = null, pinned = false; // the index of the element that the card shows

  function elementAt(number) {
    let low = 0, high = blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (froms[middle] <= number) low = middle;
      else high = middle - 1;
    }
    return blocks[low].children[number - froms[low]];
  }

  const numberOf = (element) =>
    Number(element.parentNode.dataset.from) + Array.prototype.indexOf.call(element.parentNode.children, element);

  function make(name, content, className) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (typeof content === "string") made.textContent = content;
    else if (content) made.append(...content);
    return made;
  }

  const percent = (bits) => {
    const percentage = 100 * 2 ** -bits;
    return `${Number(percentage.toPrecision(percentage > 99 ? 5 : 3))} %`;
  };
  const inBits = (bits) => `${bits.toFixed(2)} bits`;

  function tokenAt(position) {
    const alternatives = [];
    for (let k = position * costs.top; k < (position + 1) * costs.top; k++) {
      alternatives.push({ id: costs.top_ids[k], bits: costs.top_bits[k] / 1000 });
    }
    return { id: costs.ids[position], bits: costs.bits[position] / 1000, rank: costs.ranks[position], alternatives };
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
      row.append(make("td", `${each.rank}`), make("td", [make("bdi", costs.symbols[each.id])]));
      row.append(make("td", [bar], "track"), make("td", percent(each.bits), "number"));
    }
    return made;
  }

  // Several tokens spell this character: a row for each, with the expected tokens.
  function list(tokens) {
    const made = make("table");
    for (const token of tokens.slice(0, mostTokens)) {
      const row = made.insertRow(), expected = token.alternatives.slice(0, 3);
      const names = expected.map((each) => `${costs.symbols[each.id]} ${percent(each.bits)}`).join(" · ");
      const about = make("p", `${percent(token.bits)}, rank ${token.rank}; expected ${names}`);
      row.append(make("td", [make("bdi", costs.symbols[token.id])]), make("td", [about]), make("td", token.bits.toFixed(2)));
    }
    if (tokens.length > mostTokens) made.insertRow().append(make("td", "…"), make("td", `and ${tokens.length - mostTokens} more`));
    return made;
  }

  function fill(number, element) {
    const tokens = [];
    for (let at = firsts[number]; at < firsts[number + 1]; at++) tokens.push(tokenAt(at));
    const bits = tokens.reduce((sum, token) => sum + token.bits, 0), only = tokens.length === 1;
    const name = only ? costs.symbols[tokens[0].id] : element.textContent.replaceAll("\n", "");
    const parts = [make("div", [make("bdi", name), make("strong", inBits(bits))], "head")];
    const rank = only ? `, rank ${tokens[0].rank}` : `, spelled in ${tokens.length} tokens`;
    parts.push(make("p", `probability ${percent(bits)}${rank}`));
    const characters = Number(element.dataset.characters || 1);
    if (characters > 1) parts.push(make("p", `${inBits(bits / characters)} for each of ${characters} characters`));
    parts.push(only ? table(tokens[0]) : list(tokens));
    card.replaceChildren(...parts);
  }

  function place(element) {
    const box = element.getClientRects()[0] || element.getBoundingClientRect();
    const widest = root.clientWidth - card.offsetWidth - 8, below = box.bottom + 8, above = box.top - 8 - card.offsetHeight;
    const isBelow = below + card.offsetHeight <= root.clientHeight || above < 0;
    card.style.left = `${scrollX + Math.max(8, Math.min(box.left, widest))}px`;
    card.style.top = `${scrollY + (isBelow ? below : above)}px`;
  }

  function show(number, { pin = false, scroll = false } = {}) {
    const element = elementAt(number);
    hide();
    [current, pinned] = [number, pin];
    element.classList.add("now");
    if (scroll) element.scrollIntoView({ block: "nearest" });
    fill(number, element);
    card.classList.toggle("passing", !pin);
    card.hidden = false;
    place(element);
  }

  function hide() {
    if (current !== null) elementAt(current).classList.remove("now");
    [card.hidden, pinned] = [true, false];
  }

  // The nearest element of the next line above or below.
  function nextLine(number, step) {
    const start = elementAt(number).getBoundingClientRect(), x = (start.left + start.right) / 2;
    let best = null, line = null;
    for (let other = number + step; other >= 0 && other < costs.sizes.length; other += step) {
      const box = elementAt(other).getClientRects()[0];
      if (!box || Math.abs(box.top - start.top) < start.height / 2) continue;
      if (line === null) line = box.top;
      if (Math.abs(box.top - line) > box.height / 2) break;
      const away = Math.abs((box.left + box.right) / 2 - x);
      if (best === null || away < best.away) best = { other, away };
    }
    return best === null ? number : best.other;
  }

  function target(key) {
    const last = costs.sizes.length - 1, at = current ?? 0;
    const forward = getComputedStyle(elementAt(at).parentNode).direction === "rtl" ? -1 : 1;
    if (key === "ArrowRight") return Math.max(0, Math.min(last, at + forward));
    if (key === "ArrowLeft") return Math.max(0, Math.min(last, at - forward));
    if (key === "ArrowDown") return nextLine(at, 1);
    if (key === "ArrowUp") return nextLine(at, -1);
    return { Home: 0, End: last }[key];
  }

  text.addEventListener("pointerover", (event) => {
    const element = event.target.closest("i");
    if (element && !pinned) show(numberOf(element));
  });
  text.addEventListener("pointerleave", () => pinned || hide());
  text.addEventListener("focus", () => text.matches(":focus-visible") && show(current ?? 0, { pin: true, scroll: true }));
  text.addEventListener("blur", (event) => event.relatedTarget && hide());
  text.addEventListener("keydown", (event) => {
    const number = target(event.key);
    if (number === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(number, { pin: true, scroll: true });
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("click", (event) => {
    const element = event.target.closest("#text i"), button = event.target.closest("[data-unit]");
    if (element) show(numberOf(element), { pin: true });
    else if (button) {
      const number = Number(button.dataset.unit);
      elementAt(number).scrollIntoView({ block: "center" });
      show(number, { pin: true });
    } else if (!event.target.closest("#card")) hide();
  });
  addEventListener("resize", () => current !== null && !card.hidden && place(elementAt(current)));
})();
