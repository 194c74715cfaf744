/** A choice of many from a list that may be thousands long, with search and select-all. */
import { useDeferredValue, useMemo, useState } from "react";
import {
  Button,
  Dialog,
  DialogTrigger,
  Input,
  ListBox,
  ListBoxItem,
  ListLayout,
  Popover,
  SearchField,
  Virtualizer,
  type Selection,
} from "react-aria-components";

export interface Item {
  readonly id: string;
  readonly name: string;
  readonly detail: string;
}

export interface PickManyProps {
  label: string;
  items: readonly Item[];
  chosen: "all" | readonly string[];
  onChange(chosen: "all" | readonly string[]): void;
}

const ROW_PX = 26;
/** Search field and actions above the list. */
const CHROME_PX = 70;

export function PickMany({ label, items, chosen, onChange }: PickManyProps) {
  return (
    <DialogTrigger>
      <Button className="control">
        <span className="control-label">{label}</span>
        <span className="control-value">{summary(items, chosen)}</span>
        <span className="chevron" aria-hidden="true">
          ▾
        </span>
      </Button>
      <Popover className="popover" placement="bottom start">
        <Dialog
          className="pick-many"
          aria-label={label}
          style={{ height: CHROME_PX + ROW_PX * Math.max(2, items.length) }}
        >
          <List label={label} items={items} chosen={chosen} onChange={onChange} />
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

function summary(items: readonly Item[], chosen: "all" | readonly string[]): string {
  if (chosen === "all") return `All ${items.length === 0 ? "" : items.length.toLocaleString("en")}`;
  if (chosen.length === 0) return "None";
  if (chosen.length === 1) return items.find(({ id }) => id === chosen[0])?.name ?? chosen[0]!;
  return `${chosen.length.toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
}

function List({ label, items, chosen, onChange }: PickManyProps) {
  const [query, setQuery] = useState("");
  const wanted = useDeferredValue(query.trim().toLowerCase());
  const visible = useMemo(
    () =>
      wanted === ""
        ? items
        : items.filter(({ id, name, detail }) => `${id}\n${name}\n${detail}`.toLowerCase().includes(wanted)),
    [items, wanted],
  );
  const picked = useMemo(
    () => new Set(chosen === "all" ? items.map(({ id }) => id) : chosen),
    [items, chosen],
  );
  const selected = useMemo(
    () => visible.filter(({ id }) => picked.has(id)).map(({ id }) => id),
    [visible, picked],
  );

  const commit = (next: Set<string>) => {
    const ids = items.filter(({ id }) => next.has(id)).map(({ id }) => id);
    onChange(ids.length === items.length ? "all" : ids);
  };
  // Only what the search shows can change; the rest stays as it was.
  const onSelection = (selection: Selection) => {
    const next = new Set(picked);
    for (const { id } of visible) {
      if (selection === "all" || selection.has(id)) next.add(id);
      else next.delete(id);
    }
    commit(next);
  };
  const only = wanted === "" ? "" : " shown";
  return (
    <>
      <SearchField
        className="search"
        aria-label={`Search ${label.toLowerCase()}`}
        value={query}
        onChange={setQuery}
        autoFocus
      >
        <Input placeholder="Search" />
      </SearchField>
      <div className="pick-actions">
        <Button className="link" onPress={() => onSelection("all")}>
          Select all{only}
        </Button>
        <Button className="link" onPress={() => onSelection(new Set())}>
          Clear{only}
        </Button>
        <span className="muted">
          {picked.size.toLocaleString("en")} of {items.length.toLocaleString("en")}
        </span>
      </div>
      <Virtualizer layout={ListLayout} layoutOptions={{ rowSize: ROW_PX }}>
        <ListBox
          className="pick-list"
          aria-label={label}
          selectionMode="multiple"
          selectionBehavior="toggle"
          items={visible}
          selectedKeys={selected}
          onSelectionChange={onSelection}
          renderEmptyState={() => <div className="muted pad">Nothing matches</div>}
        >
          {({ id, name, detail }) => (
            <ListBoxItem className="pick-item" id={id} textValue={name}>
              <span className="tick" aria-hidden="true" />
              <span className="pick-name">{name}</span>
              <span className="muted">{detail}</span>
            </ListBoxItem>
          )}
        </ListBox>
      </Virtualizer>
    </>
  );
}
