// The page of the server: a text, the settings, one or two models side by side, and what the reader does with them.
//
//   text ──read──> tokens of each pane ──write, choose──> more tokens ──record──> history <──Undo, Redo

import { Activity } from "./activity.js";
import { Api } from "./api.js";
import { EditHistory } from "./edit_history.js";
import { askForKey } from "./key_dialog.js";
import { Pane } from "./pane.js";
import { SettingsForm, toFields } from "./settings_form.js";
import { readFragment, writeFragment } from "./share_link.js";
import { makeLegend } from "./surprisal.js";

const READ_AFTER = 400; // milliseconds without a key press
const NUM_SEEDS = 2 ** 31; // so that seeds are short to read

const find = (id) => document.getElementById(id);
const [input, writeButton, status, compare] = ["text", "write", "status", "compare"].map(find);
const needsKey = document.querySelector("meta[name=charlm-key]").content === "key";
const api = new Api({ needsKey, askForKey: (isWrong) => askForKey(find("key-dialog"), isWrong) });
const settings = new SettingsForm(find("settings"), drawNext);
const activity = new Activity({ onChange: showBusy, onError: (message) => tell(message, true) });

let panes = [];
let history = null; // from the first text that was read
let lastSeed = null;
let isRead = false; // whether the panes show what is in the field
let timer = null;
const unread = new Map(); // pane -> the text that it must read before it writes

const shown = () => panes.filter((pane) => !pane.element.hidden);

function showBusy({ isBusy, isWriting }) {
  writeButton.textContent = isWriting ? "Stop" : "Write";
  writeButton.classList.toggle("stop", isWriting);
  document.body.classList.toggle("busy", isBusy);
}

function tell(text, isError = false) {
  status.textContent = text;
  status.classList.toggle("error", isError);
}

// ---- reading

const read = () => activity.begin((signal) => readInto(shown(), input.value, signal));

async function readInto(chosen, text, signal) {
  await Promise.all(chosen.map((pane) => pane.read(text, signal)));
  for (const pane of chosen) unread.delete(pane);
  isRead = true;
  drawNext();
  record();
  tell("");
}

function readSoon() {
  clearTimeout(timer);
  isRead = false;
  timer = setTimeout(read, READ_AFTER);
}

// Another model reads the whole text of a pane.
function readAgain(pane) {
  if (isRead) readLater(pane, unread.get(pane) ?? pane.plainText);
}

// What begins before the pane has read the text has it read first.
function readLater(pane, text) {
  unread.set(pane, text);
  activity.begin((signal) => readInto([pane], text, signal));
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
  clearTimeout(timer);
  activity.begin((signal) => writeInto(chosen, signal), { isWriting: true });
}

async function writeInto(chosen, signal) {
  if (!isRead) await readInto(shown(), input.value, signal);
  for (const [pane, text] of unread) await readInto([pane], text, signal);
  lastSeed = settings.values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] % NUM_SEEDS;
  tell(`Writing with seed ${lastSeed}.`);
  const fields = toFields(settings.values, lastSeed);
  await Promise.all(chosen.map((pane) => untilEnded(pane.write(fields, signal))));
  if (!activity.isCurrent(signal)) return;
  record();
  tell(signal.aborted ? "Stopped." : `Written with seed ${lastSeed}.`);
  await refreshNext(chosen, signal.aborted ? undefined : signal);
}

// A text that is stopped keeps what was written.
async function untilEnded(writing) {
  try {
    await writing;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function toggleWriting() {
  if (writeButton.classList.contains("stop")) activity.end();
  else write(shown());
}

// Another token stands at a place of the text, which goes on from there.
function branch(pane, place, id) {
  pane.replace(place, id);
  write([pane]);
}

// A token is written by hand.
function append(pane, token) {
  activity.begin(async (signal) => {
    pane.show([...pane.tokens, token], pane.vocabulary);
    record();
    await refreshNext([pane], signal);
  });
}

// ---- undo and redo

function record() {
  const state = { text: input.value, panes: panes.map((pane) => pane.state) };
  if (history === null) history = new EditHistory(state);
  else history.record(state);
  showHistory();
}

function showHistory() {
  find("undo").setAttribute("aria-disabled", String(!history.canUndo));
  find("redo").setAttribute("aria-disabled", String(!history.canRedo));
}

async function undo() {
  await activity.endAndWait();
  if (history?.canUndo) restore(history.undo());
}

async function redo() {
  await activity.endAndWait();
  if (history?.canRedo) restore(history.redo());
}

function restore({ text, panes: states }) {
  clearTimeout(timer);
  input.value = text;
  isRead = true;
  unread.clear();
  states.forEach((state, index) => panes[index].restore(state));
  showCompared();
  showHistory();
  tell("");
  activity.begin((signal) => refreshNext(shown(), signal));
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
  if (panes[1].element.hidden) unread.delete(panes[1]);
  else if (isRead) readLater(panes[1], panes[0].plainText);
}

// ---- links

async function share() {
  const models = shown().map((pane) => pane.model);
  const values = { ...settings.values, seed: settings.values.seed ?? lastSeed };
  const fragment = writeFragment({ text: input.value, models, settings: values });
  window.history.replaceState(null, "", `#${fragment}`);
  try {
    await navigator.clipboard.writeText(location.href);
    tell("Copied the link. It is in the address bar too.");
  } catch {
    tell("The link is in the address bar."); // the browser lets no page use the clipboard
  }
}

// Fills the form. Nothing is read or written before the reader asks for it.
function openLink() {
  const link = readFragment(location.hash);
  if (link === null) return false;
  clearTimeout(timer);
  activity.end();
  input.value = link.text;
  settings.fill(link.settings);
  isRead = false;
  unread.clear();
  const missing = link.models.filter((model) => !panes[0].models.includes(model));
  panes.forEach((pane, index) => {
    pane.clear();
    pane.element.hidden = index > 0 && link.models.length < 2;
    if (panes[0].models.includes(link.models[index])) pane.select.value = link.models[index];
  });
  showCompared();
  if (missing.length) tell(`This server does not have the model ${missing.join(" and ")}.`, true);
  else tell("This text came with the link. Press Write to go on from it, or change it.");
  return true;
}

// ---- the page

function listen() {
  const onClick = { write: toggleWriting, undo, redo, compare: toggleSecond, share };
  for (const [id, listener] of Object.entries(onClick)) find(id).addEventListener("click", listener);
  find("take").addEventListener("click", () => {
    input.value = panes[0].plainText || input.value;
    read();
  });
  input.addEventListener("input", readSoon);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) toggleWriting();
  });
  addEventListener("hashchange", openLink);
  document.addEventListener("keydown", (event) => {
    const isField = event.target.matches("input, textarea"); // which have an Undo of their own
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || isField) return;
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".text, .card")) shown().forEach((pane) => pane.text.leave());
  });
}

async function start() {
  const models = await api.models();
  const say = (text) => (find("said").textContent = text);
  const handlers = { onModel: readAgain, onBranch: branch, onAppend: append, say };
  panes = [1, 2].map((number) => new Pane(number, { api, models, ...handlers }));
  panes[1].element.hidden = true;
  panes[1].select.selectedIndex = models.length > 1 ? 1 : 0;
  find("legend").append(makeLegend());
  find("panes").append(...panes.map((pane) => pane.element));
  listen();
  document.body.classList.add("ready");
  if (!openLink()) await read();
}

start().catch((error) => tell(error.message, true));
