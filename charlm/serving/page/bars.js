// A list of tokens with bars, each of which can be chosen.

import { make, makeName } from "./elements.js";

const MAX_NAME = 14; // characters

// rows: { name, share, label, cut, isTaken }: the length of the bar from 0 to 1, what stands behind it, whether the
// token cannot be drawn, and whether it is the one of the text. Rows of an earlier call stay, so that bars glide.
export function drawBars(list, rows, onChoose) {
  while (list.children.length > rows.length) list.lastChild.remove();
  const longest = Math.max(2, ...rows.map(({ name }) => [...name].length));
  list.style.setProperty("--name", `${Math.min(MAX_NAME, longest) + 1}ch`);
  while (list.children.length < rows.length) list.append(makeRow());
  rows.forEach((row, index) => fill(list.children[index], row, () => onChoose(index)));
}

function makeRow() {
  const button = make("button", { type: "button" });
  const track = make("span", { className: "track", "aria-hidden": "true" }, make("span", { className: "bar" }));
  button.append(makeName(""), track, make("span", { className: "number" }));
  return make("li", {}, button);
}

function fill(item, { name, share, label, cut = false, isTaken = false }, onclick) {
  const button = item.firstChild;
  const [token, track, number] = button.children;
  item.className = [cut && "cut", isTaken && "taken"].filter(Boolean).join(" ");
  token.textContent = name;
  track.firstChild.style.width = `${100 * share}%`;
  number.textContent = label;
  button.onclick = onclick;
  if (isTaken) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}
