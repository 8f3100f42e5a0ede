// A list of names with bars.

import { make, makeName } from "./elements.js";

const MAX_NAME = 14; // characters

// rows: { name, share, label, cut, isTaken }: the length of the bar from 0 to 1, what stands behind it, whether the
// token cannot be drawn, and whether it is the one of the text. Rows of an earlier call stay, so that bars glide.
// onChoose(index): a row was chosen; null of a list that is only to be read. maxName: characters of the longest name.
export function drawBars(list, rows, onChoose, maxName = MAX_NAME) {
  while (list.children.length > rows.length) list.lastChild.remove();
  const longest = Math.max(2, ...rows.map(({ name }) => [...name].length));
  list.style.setProperty("--name", `${Math.min(maxName, longest) + 1}ch`);
  while (list.children.length < rows.length) list.append(makeRow(onChoose !== null));
  rows.forEach((row, index) => fill(list.children[index], row, onChoose && (() => onChoose(index))));
}

function makeRow(isChosen) {
  const row = isChosen ? make("button", { type: "button" }) : make("div");
  const track = make("span", { className: "track", "aria-hidden": "true" }, make("span", { className: "bar" }));
  row.className = "row";
  row.append(makeName(""), track, make("span", { className: "number" }));
  return make("li", {}, row);
}

function fill(item, { name, share, label, cut = false, isTaken = false }, onclick) {
  const row = item.firstChild;
  const [token, track, number] = row.children;
  item.className = [cut && "cut", isTaken && "taken"].filter(Boolean).join(" ");
  token.textContent = name;
  track.firstChild.style.width = `${100 * share}%`;
  number.textContent = label;
  row.onclick = onclick;
  if (isTaken) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
}
