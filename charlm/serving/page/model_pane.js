// A pane: a model that the reader chooses, and what it makes of the text.
//
//   language, generate        a text in colours that goes on (text_pane.js); for a label, if the model writes for one
//   classify, tag, transduce  a prediction (prediction_view.js)

import { make } from "./elements.js";
import { LabelChoice } from "./label_choice.js";
import { isPredicting, PredictionView } from "./prediction_view.js";
import { TextPane } from "./text_pane.js";

export class ModelPane {
  // number: 1 or 2. models: { id, kind } of each. onModel(pane): another model or label was chosen.
  // onBranch(pane, place, id), onAppend(pane, token), say(text): as in text_pane.js.
  constructor(number, { api, models, onModel, onBranch, onAppend, say }) {
    Object.assign(this, { api, models });
    const options = models.map(({ id }) => make("option", { value: id }, id));
    this.select = make("select", { id: `model-${number}` }, ...options);
    this.select.addEventListener("change", () => onModel(this));
    this.choice = new LabelChoice(number, () => onModel(this));
    this.wanted = []; // labels of a link, which are chosen once those of the model are known
    const label = make("label", { for: `model-${number}` }, number === 1 ? "Model" : "Model 2");
    const controls = [make("div", { className: "field" }, label, this.select), this.choice.element];
    this.text = new TextPane(`Model ${number}`, {
      api,
      controls,
      say,
      onBranch: (place, id) => onBranch(this, place, id),
      onAppend: (token) => onAppend(this, token),
    });
    this.prediction = new PredictionView({ api, say });
    this.text.reading.append(this.prediction.element);
    this.element = this.text.element;
    this._labelsOf = null; // the id of the model whose labels are offered
    this._showKind();
  }

  get model() {
    return this.models[this.select.selectedIndex];
  }

  // Whether the text goes on.
  get writes() {
    return !isPredicting(this.model.kind);
  }

  // The text that is shown, also while another model is chosen and has not read it yet.
  get plainText() {
    return this._showsPrediction ? this.prediction.plainText : this.text.plainText;
  }

  get labels() {
    return this.choice.names.length ? this.choice.names : this.wanted;
  }

  // What Undo comes back to.
  get state() {
    const { model, text, choice, prediction, _labelsOf: labelsOf } = this;
    const isHidden = this.element.hidden;
    return { id: model.id, labelsOf, choice: choice.state, text: text.state, prediction: prediction.state, isHidden };
  }

  restore({ id, labelsOf, choice, text, prediction, isHidden }) {
    this.select.value = id;
    this._labelsOf = labelsOf;
    this.choice.restore(choice);
    this._tellModel();
    this.text.restore(text);
    this.prediction.restore(prediction);
    this.element.hidden = isHidden;
    this._showKind();
  }

  // Shows nothing yet. An unknown model leaves the one that was chosen.
  open(id, labels) {
    this.text.clear();
    this.prediction.restore(null);
    if (this.models.some((model) => model.id === id)) this.select.value = id;
    [this._labelsOf, this.wanted] = [null, labels];
    this.choice.offerNone();
    this._showKind();
  }

  async read(text, signal) {
    await this._offerLabels();
    this._showKind();
    if (this.writes) await this.text.read(text, signal);
    else await this.prediction.read(this.model, text, signal);
    this._showKind();
  }

  write(fields, signal) {
    return this.text.write(fields, signal);
  }

  async refreshNext(signal) {
    if (this.writes) await this.text.refreshNext(signal);
  }

  drawNext(settings) {
    if (this.writes) this.text.drawNext(settings);
  }

  leave() {
    this.text.text.leave();
    this.prediction.leave();
  }

  async _offerLabels() {
    const { id, kind } = this.model;
    if (this._labelsOf !== id) {
      const found = kind === "generate" ? await this.api.labels(id) : null;
      if (found === null) this.choice.offerNone();
      else this.choice.offer(found, [...this.wanted, ...this.choice.names]);
      [this._labelsOf, this.wanted] = [id, []];
    }
    this._tellModel();
  }

  _tellModel() {
    const { names } = this.choice;
    this.text.model = { model: this.model.id, ...(names.length ? { label: names } : {}) };
  }

  _showKind() {
    this._showsPrediction = !this.writes;
    this.element.classList.toggle("predicts", this._showsPrediction);
    this.prediction.element.hidden = !this._showsPrediction;
    if (this._showsPrediction) this.text.figures.textContent = this.prediction.figures;
  }
}
