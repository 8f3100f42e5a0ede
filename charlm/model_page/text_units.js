// The units of a text: the smallest parts that hold whole characters and whole tokens.
//
//   text     c a f é _ 東 京        grapheme clusters: a letter with its accents, a whole emoji
//   tokens   caf│é1 é2│_│東京        é is spelled in two bytes, 東京 is one token
//   units    café    │_│東京         a boundary is where a cluster and a token end
//
// Every <eod> is a unit of its own. Bytes at the end that are not a character yet are the last unit, by their names.

const clusters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// The units of ids[from] and those after it: { from, to, text, clusters }, where `from` and `to` are indices of ids.
export function cutUnits(ids, vocabulary, from = 0) {
  const units = [];
  let start = from;
  for (let at = from; at <= ids.length; at++) {
    if (at < ids.length && ids[at] !== vocabulary.eod) continue;
    units.push(...cutDocument(ids, vocabulary, start, at));
    if (at < ids.length)
      units.push({ from: at, to: at + 1, text: vocabulary.names[vocabulary.eod], clusters: 1, isEnd: true });
    start = at + 1;
  }
  return units;
}

function cutDocument(ids, vocabulary, from, to) {
  const { text, ends } = decode(ids, vocabulary, from, to);
  const clusterEnds = [...clusters.segment(text)].map(({ index, segment }) => index + segment.length);
  const isClusterEnd = new Set(clusterEnds);
  const units = [];
  let textStart = 0;
  let tokenStart = from;
  let clusterStart = 0;
  ends.forEach((end, index) => {
    if (end === null || !isClusterEnd.has(end)) return;
    let clusterEnd = clusterStart;
    while (clusterEnds[clusterEnd] <= end) clusterEnd++;
    const number = Math.max(1, clusterEnd - clusterStart);
    units.push({ from: tokenStart, to: from + index + 1, text: text.slice(textStart, end), clusters: number });
    [textStart, tokenStart, clusterStart] = [end, from + index + 1, clusterEnd];
  });
  if (tokenStart < to) {
    const names = ids
      .slice(tokenStart, to)
      .map((id) => vocabulary.names[id])
      .join("");
    units.push({ from: tokenStart, to, text: names, clusters: 1 });
  }
  return units;
}

// The text, and for each id how long it is after it; null where the text cannot be cut: within a character that is
// spelled in bytes, and between the characters of a word and the marks around them.
function decode(ids, vocabulary, from, to) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const ends = [];
  let text = "";
  let isPending = false; // whether there are bytes that are not a character yet
  for (const id of ids.slice(from, to)) {
    const byte = vocabulary.byte(id);
    if (byte !== null) {
      const piece = decoder.decode(new Uint8Array([byte]), { stream: true });
      text += piece;
      isPending = piece === "";
      ends.push(isPending ? null : text.length);
    } else if (vocabulary.isMark(id)) {
      const closes = id !== vocabulary.marks[0] && ends.length > 0;
      if (closes) ends[ends.length - 1] = null;
      ends.push(closes && !isPending ? text.length : null);
    } else {
      if (isPending) {
        text += decoder.decode(); // what is no character
        ends[ends.length - 1] = text.length;
        isPending = false;
      }
      text += vocabulary.text(id);
      ends.push(text.length);
    }
  }
  return { text, ends };
}

// The text of ids, as a reader sees it. Incomplete characters are left out, and <eod> is a blank line.
export function textOf(ids, vocabulary) {
  const parts = [];
  let start = 0;
  for (let at = 0; at <= ids.length; at++) {
    if (at < ids.length && ids[at] !== vocabulary.eod) continue;
    parts.push(decode(ids, vocabulary, start, at).text);
    start = at + 1;
  }
  return parts.join("\n\n");
}
