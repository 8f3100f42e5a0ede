// What the ids of a vocabulary stand for.

import { displayName } from "./visible.js";

export class Vocabulary {
  // names: of all ids. mark_ids: ids without text; the first of them opens the spelling of a word, and others close it.
  constructor({ names, eod_id, first_byte_id, mark_ids }) {
    this.names = names;
    this.eod = eod_id;
    this.firstByte = first_byte_id;
    this.marks = mark_ids;
  }

  // 0 to 255; null if an id is no byte.
  byte(id) {
    const byte = this.firstByte === null ? -1 : id - this.firstByte;
    return byte >= 0 && byte < 256 ? byte : null;
  }

  isMark(id) {
    return this.marks.includes(id);
  }

  // "" of a byte, a mark or <eod>.
  text(id) {
    return id === this.eod || this.byte(id) !== null || this.isMark(id) ? "" : this.names[id];
  }

  displayName(id) {
    return displayName(this.names[id]);
  }
}
