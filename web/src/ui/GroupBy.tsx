/** The ordered list of fields a tree is grouped by: drag, or move with the keyboard. */
import {
  Button,
  Dialog,
  DialogTrigger,
  GridList,
  GridListItem,
  Popover,
  useDragAndDrop,
} from "react-aria-components";

export interface GroupByProps {
  fields: readonly { id: string; name: string }[];
  chosen: readonly string[];
  onChange(chosen: readonly string[]): void;
}

export function GroupBy({ fields, chosen, onChange }: GroupByProps) {
  const nameOf = (id: string) => fields.find((field) => field.id === id)?.name ?? id;
  return (
    <DialogTrigger>
      <Button className="control">
        <span className="control-label">Group by</span>
        <span className="control-value">
          {chosen.length === 0 ? "Nothing" : chosen.map(nameOf).join(" › ")}
        </span>
        <span className="chevron" aria-hidden="true">
          ▾
        </span>
      </Button>
      <Popover className="popover" placement="bottom start">
        <Dialog className="group-by" aria-label="Group by">
          <Levels chosen={chosen} nameOf={nameOf} onChange={onChange} />
          <div className="group-add" role="group" aria-label="Add a level">
            {fields
              .filter(({ id }) => !chosen.includes(id))
              .map(({ id, name }) => (
                <Button key={id} className="chip" onPress={() => onChange([...chosen, id])}>
                  + {name}
                </Button>
              ))}
          </div>
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

interface LevelsProps {
  chosen: readonly string[];
  nameOf(id: string): string;
  onChange(chosen: readonly string[]): void;
}

function Levels({ chosen, nameOf, onChange }: LevelsProps) {
  const place = (moved: readonly string[], target: string, position: "before" | "on" | "after") => {
    const rest = chosen.filter((id) => !moved.includes(id));
    const at = rest.indexOf(target) + (position === "after" ? 1 : 0);
    onChange([...rest.slice(0, at), ...moved, ...rest.slice(at)]);
  };
  const { dragAndDropHooks } = useDragAndDrop({
    getItems: (keys) => [...keys].map((key) => ({ "text/plain": String(key) })),
    onReorder: ({ keys, target }) => place([...keys].map(String), String(target.key), target.dropPosition),
  });
  const swap = (at: number, other: number) => {
    const next = chosen.slice();
    [next[at], next[other]] = [next[other]!, next[at]!];
    onChange(next);
  };
  return (
    <GridList
      className="levels"
      aria-label="Levels, outermost first"
      items={chosen.map((id, at) => ({ id, at }))}
      dependencies={[chosen]}
      dragAndDropHooks={dragAndDropHooks}
      renderEmptyState={() => <div className="muted pad">No level: only the total is shown</div>}
    >
      {({ id, at }) => (
        <GridListItem className="level" textValue={nameOf(id)}>
          <Button slot="drag" className="icon grip" aria-label={`Drag ${nameOf(id)}`}>
            ⠿
          </Button>
          <span className="level-number">{at + 1}</span>
          <span className="level-name">{nameOf(id)}</span>
          <Button
            className="icon"
            aria-label={`Move ${nameOf(id)} outwards`}
            isDisabled={at === 0}
            onPress={() => swap(at, at - 1)}
          >
            ↑
          </Button>
          <Button
            className="icon"
            aria-label={`Move ${nameOf(id)} inwards`}
            isDisabled={at === chosen.length - 1}
            onPress={() => swap(at, at + 1)}
          >
            ↓
          </Button>
          <Button
            className="icon"
            aria-label={`Remove ${nameOf(id)}`}
            onPress={() => onChange(chosen.filter((other) => other !== id))}
          >
            ×
          </Button>
        </GridListItem>
      )}
    </GridList>
  );
}
