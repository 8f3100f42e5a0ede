// The page of the server: a text, the settings, one or two models side by side, and what the reader does with them.
//
//   text ──read──> tokens of each pane ──write, choose──> more tokens ──record──> history <──Undo, Redo

import { Api } from "./api.js";
import { EditHistory } from "./edit_history.js";
import { askForKey } from "./key_dialog.js";
import { Pane } from "./pane.js";
import { SettingsForm, toFields } from "./settings_form.js";
import { readFragment, writeFragment } from "./share_link.js";
import { makeLegend } from "./surprisal.js";

const READ_AFTER = 400, NUM_SEEDS = 2 ** 31; // milliseconds without a key press; seeds that are short to read
const find = (id) => document.getElementById(id);
const [input, writeButton, undoButton, redoButton, compare] = ["text", "write", "undo", "redo", "compare"].map(find);
const status = find("status"), said = find("said");
const needsKey = document.querySelector("meta[name=charlm-key]").content === "key";
const api = new Api({ needsKey, askForKey: (isWrong) => askForKey(find("key-dialog"), isWrong) });
const settings = new SettingsForm(find("settings"), () => shown().forEach((pane) => pane.drawNext(settings.values)));

let panes = [], history = null, lastSeed = null;
let isRead = false; // whether the panes show what is in the field
let work = null; // what ends the reading or writing that goes on
let timer = null;

const shown = () => panes.filter((pane) => !pane.element.hidden);

// ---- one thing at a time

// Ends what goes on, and does something else. What it throws is told, except that it was ended.
async function begin(activity, { isWriting = false } = {}) {
  work?.abort();
  const own = (work = new AbortController());
  showBusy(isWriting);
  try {
    await activity(own.signal);
  } catch (error) {
    if (error.name !== "AbortError" && work === own) tell(error.message, true);
  }
  if (work !== own) return;
  work = null;
  showBusy(false);
}

function showBusy(isWriting) {
  writeButton.textContent = isWriting ? "Stop" : "Write";
  writeButton.classList.toggle("stop", isWriting);
  document.body.classList.toggle("busy", work !== null);
}

function tell(text, isError = false) {
  status.textContent = text;
  status.classList.toggle("error", isError);
}

// ---- reading and writing

const readText = (signal) => readInto(shown(), input.value, signal);

async function readInto(chosen, text, signal) {
  await Promise.all(chosen.map((pane) => pane.read(text, signal)));
  isRead = true;
  drawNext();
  record();
}

// Another model reads the whole text of a pane.
function readAgain(pane) {
  const text = pane.plainText;
  if (isRead) begin((signal) => readInto([pane], text, signal));
}

function drawNext() {
  for (const pane of shown()) pane.drawNext(settings.values);
}

async function write(chosen) {
  await begin(async (signal) => {
    if (!isRead) await readText(signal);
    const { seed } = settings.values;
    lastSeed = seed ?? crypto.getRandomValues(new Uint32Array(1))[0] % NUM_SEEDS;
    const fields = toFields(settings.values, lastSeed);
    tell(`Writing with seed ${lastSeed}.`);
    await Promise.all(chosen.map((pane) => untilEnded(pane.write(fields, signal))));
    if (work?.signal !== signal) return; // something else goes on already
    record();
    tell(signal.aborted ? "Stopped." : `Written with seed ${lastSeed}.`);
    await showNext(chosen, signal.aborted ? undefined : signal);
  }, { isWriting: true });
}

// A text that is stopped keeps what was written.
async function untilEnded(writing) {
  try {
    await writing;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

async function showNext(chosen, signal) {
  await Promise.all(chosen.map((pane) => pane.refreshNext(signal)));
  drawNext();
}

function branch(pane, place, id) {
  if (place < pane.tokens.length) pane.replace(place, id);
  write([pane]);
}

function append(pane, token) {
  begin(async (signal) => {
    pane.show([...pane.tokens, token], pane.vocabulary);
    record();
    await showNext([pane], signal);
  });
}

// ---- history

const stateOf = (pane) => ({ model: pane.model, tokens: pane.tokens, vocabulary: pane.vocabulary, isHidden: pane.element.hidden });
const state = () => ({ text: input.value, panes: panes.map(stateOf) });

function record() {
  history.record(state());
  showHistory();
}

function showHistory() {
  undoButton.setAttribute("aria-disabled", String(!history.canUndo));
  redoButton.setAttribute("aria-disabled", String(!history.canRedo));
}

function restore({ text, panes: states }) {
  clearTimeout(timer);
  input.value = text;
  isRead = true;
  states.forEach(({ model, tokens, vocabulary, isHidden }, index) => {
    const pane = panes[index];
    pane.select.value = model;
    pane.element.hidden = isHidden;
    if (vocabulary !== null) pane.show(tokens, vocabulary);
  });
  showCompared();
  showHistory();
  begin((signal) => showNext(shown().filter((pane) => pane.vocabulary !== null), signal));
}

async function move(direction) {
  if (work !== null) await stop();
  if (direction === "undo" ? history.canUndo : history.canRedo) restore(history[direction]());
}

// Ends the writing, and waits until what was written is recorded.
async function stop() {
  work?.abort();
  while (document.body.classList.contains("busy")) await new Promise((resolve) => setTimeout(resolve, 10));
}

// ---- two models

function showCompared() {
  const isCompared = !panes[1].element.hidden;
  compare.setAttribute("aria-pressed", String(isCompared));
  find("panes").classList.toggle("two", isCompared);
}

function toggleSecond() {
  panes[1].element.hidden = !panes[1].element.hidden;
  showCompared();
  if (isRead && !panes[1].element.hidden) begin((signal) => readInto([panes[1]], panes[0].plainText, signal));
}

// ---- links

function share() {
  const values = { ...settings.values, seed: settings.values.seed ?? lastSeed };
  const fragment = writeFragment({ text: input.value, models: shown().map((pane) => pane.model), settings: values });
  window.history.replaceState(null, "", `#${fragment}`);
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject(new Error("no clipboard"));
  copied.then(() => tell("Copied the link. It is in the address bar too.")).catch(() => tell("The link is in the address bar."));
}

// Fills the form. Nothing is read or written before the reader asks for it.
function fillFromLink(link) {
  clearTimeout(timer);
  work?.abort();
  input.value = link.text;
  settings.fill(link.settings);
  isRead = false;
  panes.forEach((pane, index) => {
    pane.show([], pane.vocabulary);
    Object.assign(pane, { next: null });
    pane.element.hidden = index > 0 && link.models.length < 2;
  });
  showCompared();
  const known = [...panes[0].select.options].map((option) => option.value);
  link.models.forEach((model, index) => known.includes(model) && (panes[index].select.value = model));
  const missing = link.models.filter((model) => !known.includes(model));
  const hint = "This text came with the link. Write goes on from it; a change of the text reads it.";
  tell(missing.length ? `This server does not have the model ${missing.join(" and ")}.` : hint, missing.length > 0);
}

// ---- events

function readSoon() {
  clearTimeout(timer);
  isRead = false;
  timer = setTimeout(() => begin(readText), READ_AFTER);
}

function listen() {
  input.addEventListener("input", readSoon);
  input.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && toggleWriting());
  writeButton.addEventListener("click", toggleWriting);
  undoButton.addEventListener("click", () => move("undo"));
  redoButton.addEventListener("click", () => move("redo"));
  compare.addEventListener("click", toggleSecond);
  find("share").addEventListener("click", share);
  find("take").addEventListener("click", () => {
    input.value = panes[0].plainText;
    begin(readText);
  });
  addEventListener("hashchange", () => {
    const link = readFragment(location.hash);
    if (link) fillFromLink(link);
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".text, .card")) shown().forEach((pane) => pane.text.leave());
  });
}

function toggleWriting() {
  clearTimeout(timer);
  if (writeButton.classList.contains("stop")) work.abort();
  else write(shown());
}

async function start() {
  const models = await api.models();
  const options = { api, models, onBranch: branch, onAppend: append, say: (text) => (said.textContent = text) };
  panes = [1, 2].map((number) => new Pane(number, { ...options, onModel: readAgain }));
  panes[1].element.hidden = true;
  panes[1].select.selectedIndex = models.length > 1 ? 1 : 0;
  find("legend").append(makeLegend());
  find("panes").append(...panes.map((pane) => pane.element));
  history = new EditHistory(state());
  listen();
  document.body.classList.add("ready");
  const link = readFragment(location.hash);
  if (link) fillFromLink(link);
  else await begin(readText);
}

start().catch((error) => tell(error.message, true));
