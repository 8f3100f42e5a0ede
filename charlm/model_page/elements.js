// Elements of the page. Text goes in as text, never as markup.

// make("p", { className: "soft" }, "some text", anotherElement). Names with a dash, and "role", are attributes.
export function make(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// The name of a token, kept apart from the direction of the text around it.
export function makeName(name) {
  return make("bdi", { className: "token" }, name);
}
