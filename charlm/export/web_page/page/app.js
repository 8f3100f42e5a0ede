// The page: a text, the settings, and what the model in the page makes of them.
//
//   data in the page ──> Tensors ──> Model ──> LocalModel ──> a pane, as in the page of `charlm serve`

import { Activity } from "./activity.js";
import { EditHistory } from "./edit_history.js";
import { LocalModel } from "./local_model.js";
import { Model } from "./model.js";
import { Pane } from "./pane.js";
import { SettingsForm } from "./settings_form.js";
import { makeLegend } from "./surprisal.js";
import { Tensors, decodeBytes, decompress } from "./tensors.js";
import { Vocabulary } from "./vocabulary.js";

const READ_AFTER = 250; // milliseconds without a key press
const NUM_SEEDS = 2 ** 31; // so that seeds are short to read

const find = (id) => document.getElementById(id);
const [input, writeButton, status] = ["text", "write", "status"].map(find);
const settings = new SettingsForm(find("settings"), drawNext);
const activity = new Activity({ onChange: showBusy, onError: tell });

let pane = null;
let localModel = null;
let history = null; // from the first text that was read
let textRead = null; // what of the field the pane shows
let timer = null;

function showBusy({ isBusy, isWriting }) {
  writeButton.textContent = isWriting ? "Stop" : "Write";
  writeButton.classList.toggle("stop", isWriting);
  document.body.classList.toggle("busy", isBusy);
}

function tell(text) {
  status.textContent = text;
}

// ---- reading

const read = () => activity.begin(readText);

async function readText(signal) {
  const { unknown } = localModel.encode(input.value);
  await pane.read(input.value, signal);
  textRead = input.value;
  drawNext();
  record();
  tell(unknown.length ? `Left out, since the model does not know it: ${[...new Set(unknown)].join(" ")}` : "");
}

function readSoon() {
  clearTimeout(timer);
  timer = setTimeout(read, READ_AFTER);
}

function drawNext() {
  pane.drawNext(settings.values);
}

// ---- writing

function write() {
  clearTimeout(timer);
  activity.begin(writeText, { isWriting: true });
}

async function writeText(signal) {
  if (textRead !== input.value) await readText(signal);
  const seed = settings.values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] % NUM_SEEDS;
  tell(`Writing with seed ${seed}.`);
  try {
    await pane.write({ ...settings.values, seed }, signal);
  } catch (error) {
    if (error.name !== "AbortError") throw error; // a text that is stopped keeps what was written
  }
  if (!activity.isCurrent(signal)) return;
  record();
  const speed = Math.round(localModel.speed).toLocaleString("en");
  tell(`${signal.aborted ? "Stopped" : "Written"} with seed ${seed}, ${speed} characters a second.`);
  await refreshNext();
}

function toggleWriting() {
  if (writeButton.classList.contains("stop")) activity.end();
  else write();
}

async function refreshNext(signal) {
  await pane.refreshNext(signal);
  drawNext();
}

// Another token stands at a place of the text, which goes on from there.
function branch(place, id) {
  pane.replace(place, id);
  write();
}

// A token is written by hand.
function append(token) {
  activity.begin(async (signal) => {
    pane.show([...pane.tokens, token], pane.vocabulary);
    record();
    await refreshNext(signal);
  });
}

// ---- undo and redo

function record() {
  const state = { text: input.value, pane: pane.state };
  if (history === null) history = new EditHistory(state);
  else history.record(state);
  showHistory();
}

function showHistory() {
  find("undo").setAttribute("aria-disabled", String(!history?.canUndo));
  find("redo").setAttribute("aria-disabled", String(!history?.canRedo));
}

async function undo() {
  await activity.endAndWait();
  if (history?.canUndo) restore(history.undo());
}

async function redo() {
  await activity.endAndWait();
  if (history?.canRedo) restore(history.redo());
}

function restore(state) {
  clearTimeout(timer);
  input.value = textRead = state.text;
  pane.restore(state.pane);
  showHistory();
  tell("");
  activity.begin(refreshNext);
}

// ---- the page

function listen() {
  input.addEventListener("input", readSoon);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) toggleWriting();
  });
  writeButton.addEventListener("click", toggleWriting);
  find("undo").addEventListener("click", undo);
  find("redo").addEventListener("click", redo);
  find("take").addEventListener("click", () => {
    input.value = pane.plainText;
    read();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".text, .card")) pane.text.leave();
  });
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
  pane = new Pane(1, {
    api: localModel,
    models: [document.title],
    onModel: () => {},
    onBranch: (_, place, id) => branch(place, id),
    onAppend: (_, token) => append(token),
    say: (text) => (find("said").textContent = text),
  });
  find("legend").append(makeLegend());
  find("panes").append(pane.element);
  listen();
  document.body.classList.add("ready");
  await read();
}

start().catch((error) => tell(`The page does not run in this browser: ${error.message}`));
