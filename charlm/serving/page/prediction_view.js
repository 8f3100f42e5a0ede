// What a model of labels, tags or texts predicts of a text.

import { AlignedText } from "./aligned_text.js";
import { make } from "./elements.js";
import { PredictedLabels } from "./predicted_labels.js";
import { TaggedText } from "./tagged_text.js";

const MAX_LABELS = 20;
const NUM_TEXTS = 5;
const FIELDS = { classify: { top: MAX_LABELS }, tag: {}, transduce: { top: NUM_TEXTS, alignment: true } };
const HINT = "Write a text to see what the model predicts.";

export const isPredicting = (kind) => kind in FIELDS;

export class PredictionView {
  // say(text): tells a screen reader.
  constructor({ api, say }) {
    Object.assign(this, { api, say });
    this.hint = make("p", { className: "hint soft" }, HINT);
    this.views = { classify: new PredictedLabels(), tag: new TaggedText(say), transduce: new AlignedText(say) };
    const elements = Object.values(this.views).map((view) => view.element);
    this.element = make("div", { className: "prediction", hidden: true }, this.hint, ...elements);
    this.state = null; // { kind, prediction, about }, what Undo comes back to
  }

  async read({ id, kind }, text, signal) {
    if (text === "") return this.restore(null);
    const about = {
      labels: (await this.api.labels(id)).labels,
      vocabulary: kind === "transduce" ? await this.api.vocabulary({ model: id }) : null,
    };
    const prediction = await this.api.predict(id, text, FIELDS[kind], signal);
    this.say(this.restore({ kind, prediction, about }));
  }

  // Returns what a screen reader is told.
  restore(state) {
    this.state = state;
    this.hint.hidden = state !== null;
    for (const [kind, view] of Object.entries(this.views)) view.element.hidden = kind !== state?.kind;
    return state === null ? "" : this.views[state.kind].show(state.prediction, state.about);
  }

  leave() {
    this.views.tag.leave();
    this.views.transduce.leave();
  }

  get plainText() {
    return this.state?.prediction.text ?? "";
  }

  get figures() {
    const count = this.state?.kind === "transduce" ? 0 : (this.state?.about.labels.length ?? 0);
    return count ? `${count.toLocaleString("en")} ${this.state.kind === "tag" ? "tags" : "labels"}` : "";
  }
}
