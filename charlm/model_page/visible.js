// Text that is safe to show: what is invisible, or changes the direction of the text around it, is written out.

const SIGNS = new Map([
  ["\n", "⏎"],
  ["\r", "␍"],
  ["\t", "⇥"],
]);
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu; // controls, separators and format characters
// The joiners and tags within emoji, and marks before numbers, belong to the characters beside them.
const JOINING = /[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}\u{e0020}-\u{e007f}]/u;
const COMBINING = /^[\p{M}\p{Emoji_Modifier}]/u;
const BLANK = /[\p{Zs}]/gu;

// As `charlm explain` does it: \xad, \u202e, \U000e0001.
function escapeCharacter(character) {
  const digits = character.codePointAt(0).toString(16);
  if (digits.length <= 2) return `\\x${digits.padStart(2, "0")}`;
  return digits.length <= 4 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}

// In one line. Spaces stay.
export function escapeInvisible(text) {
  return text.replace(INVISIBLE, (found) => {
    if (JOINING.test(found)) return found;
    return SIGNS.get(found) ?? escapeCharacter(found);
  });
}

// With a sign before each line feed, which stays.
export function escapeInvisibleLines(text) {
  return text
    .split("\n")
    .map((line) => escapeInvisible(line))
    .join("⏎\n");
}

// The name of a token: its spaces are visible, and an accent has a circle below it.
export function displayName(name) {
  const shown = escapeInvisible(name).replace(BLANK, (found) => (found === " " ? "␣" : escapeCharacter(found)));
  return COMBINING.test(shown) ? `◌${shown}` : shown;
}
