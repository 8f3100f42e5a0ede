// Text -> ids: a character has an id of its own, or the ids of its UTF-8 bytes (charlm/vocab/char.py and byte.py).

export class Encoder {
  // vocabulary: of vocabulary.js.
  constructor(vocabulary) {
    const hasText = (id) => id !== vocabulary.eod && vocabulary.byte(id) === null;
    this.firstByte = vocabulary.firstByte;
    this.ids = new Map(vocabulary.names.map((name, id) => [name, id]).filter(([, id]) => hasText(id)));
    this.utf8 = new TextEncoder();
  }

  // The ids of a text, and the characters that have none.
  encode(text) {
    const ids = [];
    const unknown = [];
    for (const character of text) {
      const id = this.ids.get(character);
      if (id !== undefined) ids.push(id);
      else if (this.firstByte === null) unknown.push(character);
      else for (const byte of this.utf8.encode(character)) ids.push(this.firstByte + byte);
    }
    return { ids, unknown };
  }
}
