// A text, the settings and the models in the fragment of the page's address, which browsers do not send to a server.

const NUMBERS = ["temperature", "topK", "topP", "minP", "length", "seed"];

// { text, models, labels, settings } -> "text=...&model=...&label1=...&temperature=0.7"; labels: a list for each model.
export function writeFragment({ text, models, labels, settings }) {
  const fields = new URLSearchParams({ text });
  for (const model of models) fields.append("model", model);
  labels.forEach((names, index) => names.forEach((name) => fields.append(labelField(index), name)));
  for (const name of NUMBERS) if (settings[name] !== null) fields.set(name, settings[name]);
  return fields.toString();
}

// The inverse; null if a fragment is none of these. Settings that are no numbers are left out.
export function readFragment(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!fields.has("text")) return null;
  const settings = {};
  for (const name of NUMBERS) {
    const value = Number(fields.get(name) || NaN);
    if (Number.isFinite(value)) settings[name] = value;
  }
  const models = fields.getAll("model").slice(0, 2);
  const labels = [0, 1].map((index) => fields.getAll(labelField(index)));
  return { text: fields.get("text"), models, labels, settings };
}

const labelField = (index) => `label${index + 1}`;
