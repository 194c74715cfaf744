/**
 * What the page knows outside the grid: choices, catalogue, connection facts.
 *
 * Cells never come here. Facts that change with each tick arrive on the
 * session's beat, four times a second.
 */
import { create } from "zustand";
import type { Catalog, CatalogView, Status } from "../protocol/catalog.ts";
import type { Column, Key, Reject } from "../protocol/messages.ts";
import type { Beat } from "../sync/session.ts";
import { fromQuery, toQuery, type Layout } from "./layout.ts";
import type { Load } from "./progress.ts";

export type Theme = "system" | "light" | "dark";

export interface PageState {
  readonly layout: Layout;
  readonly theme: Theme;
  readonly widths: Readonly<Record<string, number>>;
  readonly catalog: Catalog | null;
  readonly status: Status | null;
  readonly httpError: string | null;
  readonly beat: Beat | null;
  readonly schema: readonly Column[];
  readonly strategy: string;
  readonly size: number | null;
  readonly progress: Load;
  readonly staleSources: Readonly<Record<string, number>>;
  readonly reject: Reject | null;
  /** Rows opened one by one, to open them again in the next view. */
  readonly opened: readonly Key[];
}

export const usePage = create<PageState>(() => ({
  layout: fromQuery(location.search),
  theme: readStored<Theme>("tickview.theme", "system"),
  widths: readStored<Record<string, number>>("tickview.widths", {}),
  catalog: null,
  status: null,
  httpError: null,
  beat: null,
  schema: [],
  strategy: "",
  size: null,
  progress: {},
  staleSources: {},
  reject: null,
  opened: [],
}));

export function changeLayout(change: (layout: Layout) => Layout): void {
  const before = usePage.getState().layout;
  const layout = change(before);
  const query = toQuery(layout);
  // Another view is a place to come back to; a toggle is not.
  const navigate = layout.view === before.view ? "replaceState" : "pushState";
  history[navigate](null, "", query === "" ? location.pathname : `?${query}`);
  usePage.setState({ layout, reject: null });
}

export function setTheme(theme: Theme): void {
  store("tickview.theme", theme);
  usePage.setState({ theme });
}

export function setWidth(column: string, widthPx: number): void {
  const widths = { ...usePage.getState().widths, [column]: widthPx };
  store("tickview.widths", widths);
  usePage.setState({ widths });
}

export const currentView = (state: PageState): CatalogView | undefined =>
  state.catalog?.views.find((view) => view.name === state.layout.view);

function readStored<T>(name: string, standard: T): T {
  try {
    const text = localStorage.getItem(name);
    return text === null ? standard : (JSON.parse(text) as T);
  } catch {
    return standard;
  }
}

function store(name: string, value: unknown): void {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A browser that forbids storage forgets the theme; nothing else is lost.
  }
}
