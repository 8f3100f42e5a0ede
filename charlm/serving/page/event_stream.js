// Server-sent events of a response, as objects: the JSON of each `data:` line, up to `[DONE]`.

const BROKEN = "The connection to the server ended before the text did.";

// Throws an error if the connection ends before.
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await readOrExplain(reader);
      if (done) throw new Error(BROKEN);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.replace(/^data: /, "");
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // of a broken connection it fails as well
  }
}

async function readOrExplain(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(BROKEN, { cause: error });
  }
}
