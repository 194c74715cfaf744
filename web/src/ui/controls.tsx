/** The small controls of the bar: one of many, several of few, on or off. */
import {
  Button,
  Menu,
  MenuItem,
  MenuTrigger,
  Popover,
  Switch,
  ToggleButton,
  ToggleButtonGroup,
} from "react-aria-components";

export interface Option {
  readonly id: string;
  readonly name: string;
}

export function Tabs(props: {
  label: string;
  options: readonly Option[];
  chosen: string;
  onChange(id: string): void;
}) {
  return (
    <ToggleButtonGroup
      className="tabs"
      aria-label={props.label}
      selectionMode="single"
      disallowEmptySelection
      selectedKeys={[props.chosen]}
      onSelectionChange={(keys) => props.onChange(String([...keys][0]))}
    >
      {props.options.map(({ id, name }) => (
        <ToggleButton key={id} id={id} className="tab">
          {name}
        </ToggleButton>
      ))}
    </ToggleButtonGroup>
  );
}

/** Several of a few, at least one of them. */
export function Toggles(props: {
  label: string;
  options: readonly Option[];
  chosen: readonly string[];
  onChange(ids: readonly string[]): void;
}) {
  const toggle = (id: string, on: boolean) => {
    const ids = props.options.map((option) => option.id);
    const next = ids.filter((other) => (other === id ? on : props.chosen.includes(other)));
    if (next.length > 0) props.onChange(next);
  };
  return (
    <div className="toggles" role="group" aria-label={props.label}>
      {props.options.map(({ id, name }) => (
        <ToggleButton
          key={id}
          className="toggle"
          isSelected={props.chosen.includes(id)}
          onChange={(on) => toggle(id, on)}
        >
          {name}
        </ToggleButton>
      ))}
    </div>
  );
}

export function PickOne(props: {
  label: string;
  options: readonly Option[];
  chosen: string;
  onChange(id: string): void;
}) {
  const chosen = props.options.find(({ id }) => id === props.chosen);
  return (
    <MenuTrigger>
      <Button className="control">
        <span className="control-label">{props.label}</span>
        <span className="control-value">{chosen?.name ?? props.chosen}</span>
        <span className="chevron" aria-hidden="true">
          ▾
        </span>
      </Button>
      <Popover className="popover" placement="bottom start">
        <Menu
          className="options"
          aria-label={props.label}
          selectionMode="single"
          disallowEmptySelection
          selectedKeys={[props.chosen]}
          onAction={(id) => props.onChange(String(id))}
        >
          {props.options.map(({ id, name }) => (
            <MenuItem key={id} id={id} className="option" textValue={name}>
              {name}
            </MenuItem>
          ))}
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}

export function OnOff(props: { label: string; on: boolean; onChange(on: boolean): void }) {
  return (
    <Switch className="switch" isSelected={props.on} onChange={props.onChange}>
      <span className="track" aria-hidden="true" />
      {props.label}
    </Switch>
  );
}
