// The labels that a model writes for: a list to choose from, or one for each column of labels.

import { make } from "./elements.js";
import { escapeInvisible } from "./visible.js";

export class LabelChoice {
  // number: of the pane. onChange(): another label was chosen.
  constructor(number, onChange) {
    Object.assign(this, { number, onChange });
    this.element = make("div", { className: "label-choice" });
    this.state = { lists: [], names: [] };
  }

  // The chosen labels; empty of a model that writes for none.
  get names() {
    return this.state.names;
  }

  // What Undo comes back to.
  restore(state) {
    this.state = state;
    this._draw();
  }

  // Offers other labels. Those of `wanted` that are among them are chosen.
  offer({ labels, columns }, wanted) {
    const lists = columns.length
      ? columns.map((column) => ({ title: column, labels: labels.filter((name) => name.startsWith(`${column}=`)) }))
      : [{ title: "Label", labels }];
    const names = lists.map((list) => wanted.find((name) => list.labels.includes(name)) ?? list.labels[0]);
    this.restore({ lists, names });
  }

  offerNone() {
    this.restore({ lists: [], names: [] });
  }

  _draw() {
    const { lists, names } = this.state;
    const fields = lists.map(({ title, labels }, index) => {
      const id = `label-${this.number}-${index}`;
      const show = (name) => escapeInvisible(title === "Label" ? name : name.slice(title.length + 1));
      const options = labels.map((name) => make("option", { value: name }, show(name)));
      const select = make("select", { id }, ...options);
      select.value = names[index];
      select.addEventListener("change", () => {
        this.state = { lists, names: this.names.with(index, select.value) };
        this.onChange();
      });
      return make("div", { className: "field" }, make("label", { for: id }, escapeInvisible(title)), select);
    });
    this.element.replaceChildren(...fields);
  }
}
