// Text that is safe to show: what is invisible, or changes the direction of the text around it, is written out.

const SIGNS = new Map([
  ["\n", "⏎"],
  ["\r", "␍"],
  ["\t", "⇥"],
]);
// Controls, separators and format characters; not the joiners and tags within emoji, nor the marks of Arabic numbers.
const INVISIBLE =
  /(?![\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{e0020}-\u{e007f}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const COMBINING = /^[\p{M}\p{Emoji_Modifier}]/u;
const BLANK = /[\p{Zs}]/gu;

const escapeCharacter = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

// In one line. Spaces stay.
export function escapeInvisible(text) {
  return text.replace(INVISIBLE, (found) => SIGNS.get(found) ?? escapeCharacter(found));
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
  if (name === "") return "nothing";
  const shown = escapeInvisible(name).replace(BLANK, (found) => (found === " " ? "␣" : escapeCharacter(found)));
  return COMBINING.test(shown) ? `◌${shown}` : shown;
}
