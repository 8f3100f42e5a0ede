// A text, the settings and the models in the fragment of the page's address, which browsers do not send to a server.

const NUMBERS = ["temperature", "topK", "topP", "minP", "length", "seed"];

// { text, models, settings } -> "text=...&model=...&temperature=0.7"
export function writeFragment({ text, models, settings }) {
  const fields = new URLSearchParams({ text });
  for (const model of models) fields.append("model", model);
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
  return { text: fields.get("text"), models: fields.getAll("model").slice(0, 2), settings };
}
