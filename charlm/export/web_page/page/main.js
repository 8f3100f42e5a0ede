// The page: a text, the settings, and what the model in the page makes of them.
//
//   data in the page ──> Tensors ──> Model ──> LocalModel ──> a pane, as in the page of `charlm serve`

import { Composer, find, untilStopped } from "./composer.js";
import { LocalModel } from "./local_model.js";
import { Model } from "./model.js";
import { SettingsForm } from "./settings_form.js";
import { makeLegend } from "./surprisal.js";
import { Tensors, decodeBytes, decompress } from "./tensors.js";
import { TextPane } from "./text_pane.js";
import { Vocabulary } from "./vocabulary.js";

const settings = new SettingsForm(find("settings"), drawNext);
const composer = new Composer({
  readAfter: 250,
  read,
  write,
  getState: () => pane.state,
  restore,
  takeText: () => pane.plainText,
  leave: () => pane.text.leave(),
});

let pane = null;
let localModel = null;

async function read(text, signal) {
  const { unknown } = localModel.encode(text);
  await pane.read(text, signal);
  drawNext();
  composer.tell(unknown.length ? `Left out, since the model does not know it: ${[...new Set(unknown)].join(" ")}` : "");
}

function drawNext() {
  pane.drawNext(settings.values);
}

async function refreshNext(signal) {
  await pane.refreshNext(signal);
  drawNext();
}

function write() {
  composer.write(async (signal) => {
    const seed = settings.chooseSeed();
    composer.tell(`Writing with seed ${seed}.`);
    await untilStopped(pane.write({ ...settings.values, seed }, signal));
    if (!composer.activity.isCurrent(signal)) return;
    composer.record();
    const speed = Math.round(localModel.speed).toLocaleString("en");
    composer.tell(`${signal.aborted ? "Stopped" : "Written"} with seed ${seed}, ${speed} characters a second.`);
    await refreshNext();
  });
}

// Another token stands at a place of the text, which goes on from there.
function branch(place, id) {
  pane.replace(place, id);
  write();
}

// A token is written by hand.
function append(token) {
  composer.begin(async (signal) => {
    pane.append(token);
    composer.record();
    await refreshNext(signal);
  });
}

function restore(state) {
  pane.restore(state);
  composer.begin(refreshNext);
}

async function load(spec, key) {
  if (!spec.sections[key]) return null;
  const { bytes, index } = spec.sections[key];
  const element = find(key);
  const compressed = decodeBytes(element.textContent, bytes);
  element.remove();
  return new Tensors(await decompress(compressed), index);
}

async function start() {
  const spec = JSON.parse(find("model").textContent);
  const model = new Model(spec, await load(spec, "weights"), await load(spec, "tables"));
  localModel = new LocalModel(model, new Vocabulary(spec.vocabulary));
  const say = (text) => (find("said").textContent = text);
  pane = new TextPane("Model", { api: localModel, onBranch: branch, onAppend: append, say });
  find("legend").append(makeLegend());
  find("panes").append(pane.element);
  composer.listen();
  document.body.classList.add("ready");
  await composer.readNow();
}

start().catch((error) => composer.tell(`The page does not run in this browser: ${error.message}`, true));
