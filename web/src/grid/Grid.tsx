/** Gives the grid an element to live in, and nothing more: cells never pass through React. */
import { useEffect, useRef } from "react";
import { WINDOW_FIRST, type Session } from "../sync/session.ts";
import type { Column } from "../protocol/messages.ts";
import { GridView, type GridActions, type GridLayout } from "./gridView.ts";

export interface GridProps {
  session: Session;
  /** The layout for the schema of the result about to be shown. */
  layoutOf(schema: readonly Column[]): GridLayout;
  /** Changes whenever `layoutOf` would answer otherwise. */
  layoutKey: string;
  actions: Omit<GridActions, "want" | "resize">;
  onResize(column: string, widthPx: number): void;
}

export function Grid({ session, layoutOf, layoutKey, actions, onResize }: GridProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<GridView | null>(null);
  const latest = useRef({ layoutOf, actions, onResize });
  latest.current = { layoutOf, actions, onResize };

  useEffect(() => {
    const grid = new GridView(
      host.current!,
      {
        sort: (column) => latest.current.actions.sort(column),
        expand: (key) => latest.current.actions.expand(key),
        collapse: (key) => latest.current.actions.collapse(key),
        resize: (column, widthPx, done) => {
          grid.preview(column, widthPx);
          if (done) latest.current.onResize(column, widthPx);
        },
        want: (window) => session.setWindow(window),
      },
      WINDOW_FIRST,
    );
    view.current = grid;
    let version = -1;
    const offs = [
      session.events.on("snapshot", ({ model, schema }) => {
        if (model.viewVersion !== version) {
          version = model.viewVersion;
          grid.clearHighlights();
          grid.setLayout(latest.current.layoutOf(schema));
        }
        grid.showSnapshot(model);
      }),
      session.events.on("patch", (applied) => grid.showPatch(applied)),
      session.events.on("beat", ({ state }) => grid.setState(state)),
    ];
    return () => {
      for (const off of offs) off();
      grid.destroy();
      view.current = null;
    };
  }, [session]);

  useEffect(() => {
    if (session.model !== null) view.current?.setLayout(latest.current.layoutOf(session.schema));
  }, [session, layoutKey]);

  return <div className="grid" ref={host} />;
}
