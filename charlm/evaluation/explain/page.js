// Shows the card of a character on pointing, tapping or the arrow keys. Without this script the colours remain.
// `makeCards` of the script before this one returns the content of a card.
"use strict";
(() => {
  const cards = JSON.parse(document.getElementById("cards").textContent);
  const text = document.getElementById("text"), card = document.getElementById("card"), root = document.documentElement;
  const blocks = [...text.children], froms = blocks.map((block) => Number(block.dataset.from));
  const last = froms.at(-1) + blocks.at(-1).children.length - 1; // the index of the last element
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
  const nameOf = (element) => {
    const shown = element.textContent.replaceAll("\n", "");
    return /^ +$/.test(shown) ? "␣".repeat(shown.length) : shown;
  };
  const contentOf = makeCards(cards, { make, nameOf, percent, inBits: (bits) => `${bits.toFixed(2)} bits` });

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
    card.replaceChildren(...contentOf(number, element));
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
    for (let other = number + step; other >= 0 && other <= last; other += step) {
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
    const at = current ?? 0;
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
