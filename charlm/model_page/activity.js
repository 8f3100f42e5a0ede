// One reading or writing at a time: what begins ends what went on before.

export class Activity {
  // onChange({ isBusy, isWriting }): something began or ended. onError(message): it failed.
  constructor({ onChange, onError }) {
    Object.assign(this, { onChange, onError });
    this._controller = null;
    this._running = Promise.resolve();
  }

  get isBusy() {
    return this._controller !== null;
  }

  // Whether nothing else has begun since.
  isCurrent(signal) {
    return this._controller?.signal === signal;
  }

  // run(signal): what to do; the signal ends it.
  begin(run, { isWriting = false } = {}) {
    this.end();
    const own = (this._controller = new AbortController());
    this.onChange({ isBusy: true, isWriting });
    return (this._running = this._follow(run, own));
  }

  async _follow(run, own) {
    try {
      await run(own.signal);
    } catch (error) {
      if (error.name !== "AbortError" && this._controller === own) this.onError(error.message);
    }
    own.abort(); // what an error has left running
    if (this._controller !== own) return;
    this._controller = null;
    this.onChange({ isBusy: false, isWriting: false });
  }

  end() {
    this._controller?.abort();
  }

  // Ends it, and waits until it has kept what it did.
  async endAndWait() {
    this.end();
    await this._running;
  }
}
