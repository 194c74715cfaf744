import { expect, test } from "vitest";
import { HEADER, moveBy, TOTAL, type Cursor, type Move, type Surroundings } from "./cursor.ts";

const around: Surroundings = { size: 100, columns: 5, rowsPerPage: 20, expanded: null, parent: null };
const at = (position: number, column: number): Cursor => ({ position, column });
const to = (position: number, column: number): Move => ({ to: { position, column } });

test.each<[string, Cursor, Partial<Surroundings>, Move]>([
  ["ArrowDown", at(3, 2), {}, to(4, 2)],
  ["ArrowDown", at(99, 2), {}, to(99, 2)],
  ["ArrowUp", at(0, 2), {}, to(TOTAL, 2)],
  ["ArrowUp", at(HEADER, 2), {}, to(HEADER, 2)],
  ["PageDown", at(90, 0), {}, to(99, 0)],
  ["PageUp", at(5, 0), {}, to(0, 0)],
  ["Home", at(50, -1), {}, to(0, -1)],
  ["End", at(50, -1), {}, to(99, -1)],
  ["Home", at(50, 3), {}, to(50, -1)],
  ["End", at(50, 0), {}, to(50, 4)],
  ["ArrowRight", at(2, -1), { expanded: false }, { act: "expand" }],
  ["ArrowRight", at(2, -1), { expanded: true }, to(2, 0)],
  ["ArrowRight", at(2, 4), {}, to(2, 4)],
  ["ArrowLeft", at(2, -1), { expanded: true }, { act: "collapse" }],
  ["ArrowLeft", at(2, -1), { expanded: false, parent: 1 }, to(1, -1)],
  ["ArrowLeft", at(2, 0), { expanded: true }, to(2, -1)],
  ["Enter", at(2, 3), { expanded: true }, { act: "collapse" }],
  ["Enter", at(HEADER, 3), {}, { act: "activate" }],
  ["Enter", at(2, 3), {}, null],
  ["x", at(2, 3), {}, null],
])("%s from %j with %j", (key, cursor, change, move) =>
  expect(moveBy(key, false, cursor, { ...around, ...change })).toEqual(move),
);
