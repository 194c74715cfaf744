/** Listeners by event name. One that throws takes no other with it. */
export class Events<Payloads extends object> {
  #listeners: { [Name in keyof Payloads]?: Set<(payload: Payloads[Name]) => void> } = {};

  on<Name extends keyof Payloads>(name: Name, listener: (payload: Payloads[Name]) => void): () => void {
    const set = (this.#listeners[name] ??= new Set());
    set.add(listener);
    return () => set.delete(listener);
  }

  emit<Name extends keyof Payloads>(name: Name, payload: Payloads[Name]): void {
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(payload);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
