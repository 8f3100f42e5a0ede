// The page of the server: a text, the settings, one or two models side by side, and what the reader does with them.
//
//   text ──read──> what each pane makes of it ──write, choose──> more tokens ──record──> history <──Undo, Redo

import { Api } from "./api.js";
import { Composer, find, untilStopped } from "./composer.js";
import { make } from "./elements.js";
import { askForKey } from "./key_dialog.js";
import { ModelPane } from "./model_pane.js";
import { SettingsForm, toFields } from "./settings_form.js";
import { readFragment, writeFragment } from "./share_link.js";
import { makeLegend } from "./surprisal.js";

const button = (id, text, properties) => make("button", { type: "button", id, ...properties }, text);
const compare = button("compare", "Compare", { title: "Two models side by side", "aria-pressed": "false" });
const share = button("share", "Share", { title: "A link to this text, the settings and the models" });
const needsKey = document.querySelector("meta[name=charlm-key]").content === "key";
const api = new Api({ needsKey, askForKey: (isWrong) => askForKey(find("key-dialog"), isWrong) });
const settings = new SettingsForm(find("settings"), drawNext);
const composer = new Composer({
  readAfter: 400,
  read: (text, signal) => read(shown(), text, signal),
  write: () => write(shown()),
  getState: () => panes.map((pane) => pane.state),
  restore,
  takeText: () => panes[0].plainText,
  leave: () => shown().forEach((pane) => pane.leave()),
});

let panes = [];
let lastSeed = null;
const unread = new Map(); // pane -> the text that it must read before it writes

const shown = () => panes.filter((pane) => !pane.element.hidden);

// ---- reading

async function read(chosen, text, signal) {
  await Promise.all(chosen.map((pane) => pane.read(text, signal)));
  for (const pane of chosen) unread.delete(pane);
  drawNext();
  composer.tell("");
}

// Another model reads the whole text of a pane.
function readAgain(pane) {
  showKinds();
  if (composer.isRead) readLater(pane, unread.get(pane) ?? pane.plainText);
}

// What begins before the pane has read the text has it read first.
function readLater(pane, text) {
  unread.set(pane, text);
  composer.begin(async (signal) => {
    await read([pane], text, signal);
    composer.record();
  });
}

function drawNext() {
  for (const pane of shown()) pane.drawNext(settings.values);
}

async function refreshNext(chosen, signal) {
  await Promise.all(chosen.map((pane) => pane.refreshNext(signal)));
  drawNext();
}

// ---- writing

function write(chosen) {
  const writing = chosen.filter((pane) => pane.writes);
  if (writing.length) composer.write((signal) => writeInto(writing, signal));
  else composer.readNow();
}

async function writeInto(chosen, signal) {
  for (const [pane, text] of unread) await read([pane], text, signal);
  lastSeed = settings.chooseSeed();
  composer.tell(`Writing with seed ${lastSeed}.`);
  const fields = toFields(settings.values, lastSeed);
  await Promise.all(chosen.map((pane) => untilStopped(pane.write(fields, signal))));
  if (!composer.activity.isCurrent(signal)) return;
  composer.record();
  composer.tell(signal.aborted ? "Stopped." : `Written with seed ${lastSeed}.`);
  await refreshNext(chosen, signal.aborted ? undefined : signal);
}

// Another token stands at a place of the text, which goes on from there.
function branch(pane, place, id) {
  pane.text.replace(place, id);
  write([pane]);
}

// A token is written by hand.
function append(pane, token) {
  composer.begin(async (signal) => {
    pane.text.append(token);
    composer.record();
    await refreshNext([pane], signal);
  });
}

function restore(states) {
  unread.clear();
  states.forEach((state, index) => panes[index].restore(state));
  showCompared();
  composer.begin((signal) => refreshNext(shown(), signal));
}

// ---- two models

function showCompared() {
  const isCompared = !panes[1].element.hidden;
  compare.setAttribute("aria-pressed", String(isCompared));
  find("panes").classList.toggle("two", isCompared);
  showKinds();
}

// Whether no pane has a text that goes on.
const isPredicting = () => !shown().some((pane) => pane.writes);

// Models that only predict have no settings.
function showKinds() {
  composer.nameAction(isPredicting() ? "Predict" : "Write");
  find("settings").hidden = find("legend").hidden = isPredicting();
}

function toggleSecond() {
  panes[1].element.hidden = !panes[1].element.hidden;
  showCompared();
  if (panes[1].element.hidden) unread.delete(panes[1]);
  else if (composer.isRead) readLater(panes[1], panes[0].plainText);
}

// ---- links

async function shareLink() {
  const values = { ...settings.values, seed: settings.values.seed ?? lastSeed };
  const models = shown().map((pane) => pane.model.id);
  const labels = shown().map((pane) => pane.labels);
  const fragment = writeFragment({ text: composer.input.value, models, labels, settings: values });
  history.replaceState(null, "", `#${fragment}`);
  try {
    await navigator.clipboard.writeText(location.href);
    composer.tell("Copied the link. It is in the address bar too.");
  } catch {
    composer.tell("The link is in the address bar."); // the browser lets no page use the clipboard
  }
}

// Fills the form. Nothing is read or written before the reader asks for it.
function openLink() {
  const link = readFragment(location.hash);
  if (link === null) return false;
  composer.wait();
  composer.activity.end();
  composer.input.value = link.text;
  composer.textRead = null;
  settings.fill(link.settings);
  unread.clear();
  const known = panes[0].models.map(({ id }) => id);
  const missing = link.models.filter((model) => !known.includes(model));
  panes.forEach((pane, index) => pane.open(link.models[index], link.labels[index]));
  panes[1].element.hidden = link.models.length < 2;
  showCompared();
  const purpose = isPredicting() ? "Predict to see what the model says" : "Write to go on from it";
  if (missing.length) composer.tell(`This server does not have the model ${missing.join(" and ")}.`, true);
  else composer.tell(`This text came with the link. Press ${purpose}, or change it.`);
  return true;
}

// ---- the page

async function start() {
  const models = await api.models();
  const say = (text) => (find("said").textContent = text);
  const handlers = { onModel: readAgain, onBranch: branch, onAppend: append, say };
  panes = [1, 2].map((number) => new ModelPane(number, { api, models, ...handlers }));
  panes[1].element.hidden = true;
  panes[1].open(models.at(1)?.id, []);
  find("seed").max = Number.MAX_SAFE_INTEGER;
  find("take").after(compare, share);
  find("legend").append(makeLegend());
  find("panes").append(...panes.map((pane) => pane.element));
  composer.listen();
  compare.addEventListener("click", toggleSecond);
  share.addEventListener("click", shareLink);
  addEventListener("hashchange", openLink);
  showCompared();
  document.body.classList.add("ready");
  if (!openLink()) await composer.readNow();
}

start().catch((error) => composer.tell(error.message, true));
