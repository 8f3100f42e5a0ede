// Work in short slices, one for each frame, so that the page stays alive.

const SLICE = 24; // milliseconds; drawing a frame takes several more

// Calls `step` until it returns false, and `onSlice` after each slice. The signal ends it, with an AbortError.
export async function inSlices(step, onSlice, signal) {
  for (;;) {
    const end = performance.now() + SLICE;
    let goesOn = true;
    while (goesOn && performance.now() < end) goesOn = step();
    onSlice();
    if (!goesOn) return;
    await new Promise(requestAnimationFrame);
    signal?.throwIfAborted();
  }
}
