// Pointing at the units of a text: with the pointer, by tapping, or with the arrow keys. They have the class `unit`.

export class Pointing {
  // container: an element that can have the focus. elements: those of the units, in order; the owner changes the list.
  // onPoint(index, element, { pinned }): a unit is pointed at; pinned if it was tapped or reached with the keyboard.
  // onLeave(): none is. onOpen(): Enter was pressed on one.
  constructor(container, elements, { onPoint, onLeave, onOpen = () => {} }) {
    Object.assign(this, { container, elements, onPoint, onLeave, onOpen });
    this.current = null;
    this.pinned = false;
    this._listen();
  }

  point(index, { pinned = false } = {}) {
    this._mark(false);
    [this.current, this.pinned] = [index, pinned];
    this._mark(true);
    this.onPoint(index, this.elements[index], { pinned });
  }

  leave() {
    this._mark(false);
    [this.current, this.pinned] = [null, false];
    this.onLeave();
  }

  _mark(isOn) {
    if (this.current !== null) this.elements[this.current]?.classList.toggle("now", isOn);
  }

  _indexOf(target) {
    return this.elements.indexOf(target.closest(".unit"));
  }

  _listen() {
    const on = (name, listener) => this.container.addEventListener(name, listener);
    on("pointerover", (event) => {
      const index = this._indexOf(event.target);
      if (index >= 0 && !this.pinned && event.pointerType !== "touch") this.point(index);
    });
    on("pointerleave", () => this.pinned || this.leave());
    on("click", (event) => {
      const index = this._indexOf(event.target);
      if (index >= 0) this.point(index, { pinned: true });
    });
    on("focus", () => {
      if (this.elements.length && this.container.matches(":focus-visible"))
        this._moveTo(this.current ?? this.elements.length - 1);
    });
    on("keydown", (event) => this._onKey(event));
  }

  _onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.elements.length) return;
    if (event.key === "Escape") return this.leave();
    if (event.key === "Enter" && this.current !== null) {
      event.preventDefault();
      return this.onOpen();
    }
    const index = this._target(event.key);
    if (index === null) return;
    event.preventDefault();
    this._moveTo(index);
  }

  _moveTo(index) {
    this.elements[index].scrollIntoView({ block: "nearest" });
    this.point(index, { pinned: true });
  }

  _target(key) {
    const at = this.current ?? this.elements.length - 1;
    const last = this.elements.length - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) return Math.max(0, Math.min(last, at + step * this._direction(at)));
    if (key === "ArrowDown") return this._nextLine(at, 1);
    if (key === "ArrowUp") return this._nextLine(at, -1);
    return { Home: 0, End: last }[key] ?? null;
  }

  // 1 where the line of a unit begins at the left, -1 where it begins at the right.
  _direction(index) {
    return getComputedStyle(this.elements[index].parentElement).direction === "rtl" ? -1 : 1;
  }

  // The nearest unit of the next line.
  _nextLine(index, step) {
    const elements = this.elements;
    const start = elements[index].getClientRects()[0];
    let best = index;
    let least = Infinity;
    let line = null;
    for (let other = index + step; other >= 0 && other < elements.length; other += step) {
      const box = elements[other].getClientRects()[0];
      if (!box || Math.abs(box.top - start.top) < start.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > box.height / 2) break;
      const away = Math.abs(box.left - start.left);
      if (away < least) [best, least] = [other, away];
    }
    return best;
  }
}
