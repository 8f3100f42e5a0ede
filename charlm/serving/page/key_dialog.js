// Asks for the key of the server. Only the caller keeps it, in memory: a reload asks again, and nothing is stored.

export function askForKey(dialog, isWrong) {
  const form = dialog.querySelector("form");
  const input = dialog.querySelector("input");
  dialog.querySelector("[role=alert]").textContent = isWrong ? "The server does not accept this key." : "";
  input.value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        dialog.close();
        resolve(input.value);
      },
      { once: true },
    );
  });
}
