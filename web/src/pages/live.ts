/**
 * The session of this tab, wired to the page's store. The one place where a
 * choice becomes a specification and a frame becomes a fact for the bars.
 */
import type { Catalog } from "../protocol/catalog.ts";
import type { Key, Spec } from "../protocol/messages.ts";
import { rowId } from "../protocol/model.ts";
import { dialPage } from "../sync/connection.ts";
import { poll } from "../sync/http.ts";
import { Session } from "../sync/session.ts";
import { toSpec } from "./layout.ts";
import { advanced } from "./progress.ts";
import { currentView, usePage, type PageState } from "./store.ts";

/** Clicks in quick succession ask for one result. */
const SETTLE_MS = 80;

export const session = new Session(dialPage, clientId());

let sent = "";
let timer: ReturnType<typeof setTimeout> | undefined;

export function startLive(): () => void {
  const { events } = session;
  const set = usePage.setState;
  const offs = [
    events.on("opened", ({ strategy }) => set({ strategy })),
    events.on("snapshot", ({ model, schema }) => {
      const { reject } = usePage.getState();
      set({
        schema,
        size: model.size,
        progress: {},
        reject: reject?.viewVersion === model.viewVersion ? null : reject,
      });
    }),
    events.on("patch", ({ model }) => {
      if (usePage.getState().size !== model.size) set({ size: model.size });
    }),
    events.on("progress", (told) =>
      set(({ progress }) => ({ progress: advanced(progress, told, Date.now()) })),
    ),
    events.on("stale", ({ source, sinceMs }) =>
      set(({ staleSources }) => {
        const { [source]: _, ...others } = staleSources;
        return { staleSources: sinceMs <= 0 ? others : { ...others, [source]: sinceMs } };
      }),
    ),
    events.on("reject", (reject) => set({ reject })),
    events.on("beat", (beat) => set({ beat, ...(beat.state === "DISCONNECTED" && { staleSources: {} }) })),
    usePage.subscribe((state, before) => {
      if (state.layout !== before.layout || state.catalog !== before.catalog) scheduleSpec();
    }),
    poll({
      onCatalog: (catalog) => set({ catalog, httpError: null }),
      onStatus: (status) => set({ status, httpError: null }),
      onError: (httpError) => set({ httpError }),
    }),
  ];
  session.start();
  return () => {
    clearTimeout(timer);
    for (const off of offs) off();
    session.stop();
  };
}

function scheduleSpec(): void {
  clearTimeout(timer);
  timer = setTimeout(sendSpec, sent === "" ? 0 : SETTLE_MS);
}

function sendSpec(): void {
  const state = usePage.getState();
  const spec = specOf(state);
  if (spec === null) return;
  // A new catalogue may leave the specification as it was.
  const text = JSON.stringify(spec);
  if (text === sent) return;
  sent = text;
  session.setSpec(spec);
}

function specOf(state: PageState): Spec | null {
  const view = currentView(state);
  if (view === undefined) return null;
  return toSpec(state.layout, view, (state.catalog as Catalog).portfolios, state.opened);
}

export function expand(key: Key): void {
  usePage.setState(({ opened }) => ({ opened: [...opened, key] }));
  session.expand(key);
  remember();
}

export function collapse(key: Key): void {
  const id = rowId(key);
  usePage.setState(({ opened }) => ({ opened: opened.filter((other) => rowId(other) !== id) }));
  session.collapse(key);
  remember();
}

/** A view opened afresh, after a lost session, opens the same rows. */
function remember(): void {
  const spec = specOf(usePage.getState());
  if (spec === null) return;
  sent = JSON.stringify(spec);
  session.remember(spec);
}

/** Shows levels down to a depth, whatever was opened or closed one by one. */
export function expandTo(level: "all" | number): void {
  sent = "";
  usePage.setState(({ layout }) => ({ opened: [], layout: { ...layout, expanded: level } }));
}

/** One id per tab, kept over reloads, so that the server's log tells tabs apart. */
function clientId(): string {
  const name = "tickview.clientId";
  try {
    const known = sessionStorage.getItem(name);
    if (known !== null) return known;
    const fresh = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
    sessionStorage.setItem(name, fresh);
    return fresh;
  } catch {
    return String(Math.random()).slice(2);
  }
}
