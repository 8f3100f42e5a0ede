// The form of the settings: { temperature, topK, topP, minP, length, seed }, null where a field is off.

const NUM_SEEDS = 2 ** 31;
const NEUTRAL = { topP: 1, minP: 0 }; // values of sliders that change nothing
const SHOWN = {
  temperature: (value) => value.toFixed(2),
  topP: (value) => (value === 1 ? "off" : value.toFixed(2)),
  minP: (value) => (value === 0 ? "off" : value.toFixed(2)),
};

export class SettingsForm {
  constructor(form, onChange) {
    this._inputs = Object.fromEntries([...form.querySelectorAll("input")].map((input) => [input.name, input]));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      this._label();
      onChange();
    });
    this._label();
  }

  get values() {
    const values = Object.fromEntries(Object.entries(this._inputs).map(([name, input]) => [name, valueOf(input)]));
    for (const [name, neutral] of Object.entries(NEUTRAL)) if (values[name] === neutral) values[name] = null;
    return { ...values, length: values.length ?? Number(this._inputs.length.defaultValue) };
  }

  // The seed of the form, or a random one, which is short to read.
  chooseSeed() {
    return this.values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] % NUM_SEEDS;
  }

  // Fills all fields; those that are left out get their defaults.
  fill(values) {
    for (const [name, input] of Object.entries(this._inputs)) input.value = values[name] ?? input.defaultValue;
    this._label();
  }

  _label() {
    for (const [name, show] of Object.entries(SHOWN)) {
      const input = this._inputs[name];
      const text = show(Number(input.value));
      input.parentElement.querySelector("output").textContent = text;
      input.setAttribute("aria-valuetext", text);
    }
  }
}

// A number within the bounds of its field; null if it is empty.
function valueOf(input) {
  if (input.value.trim() === "" || !Number.isFinite(Number(input.value))) return null;
  const number = input.step === "1" ? Math.round(Number(input.value)) : Number(input.value);
  return Math.max(Number(input.min || -Infinity), Math.min(Number(input.max || Infinity), number));
}

// As the fields of a completion.
export function toFields({ temperature, topK, topP, minP, length }, seed) {
  const optional = Object.entries({ top_k: topK, top_p: topP, min_p: minP }).filter(([, value]) => value !== null);
  return { temperature, max_tokens: length, seed, ...Object.fromEntries(optional) };
}
