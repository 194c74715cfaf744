import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Patch, ServerMessage, Snapshot } from "./messages.ts";
import { applyPatch, fromSnapshot } from "./model.ts";
import { BadFrame, parseClient, parseServer, serialise } from "./parse.ts";

const DIRECTORY = new URL("../../../fixtures/protocol/", import.meta.url);
const FROM_CLIENT = new Set(
  "hello open change window expand collapse pause resume ack close ping".split(" "),
);

type State = Pick<Snapshot, "size" | "from" | "rows" | "total">;
interface Case {
  name: string;
  message: { type: string };
  before?: State;
  after?: State;
}

const files = readdirSync(DIRECTORY).filter((name) => name.endsWith(".json"));
const casesOf = (file: string): Case[] =>
  JSON.parse(readFileSync(new URL(file, DIRECTORY), "utf8")) as Case[];

test("every message type has a file", () => {
  const server: Record<ServerMessage["type"], true> = {
    welcome: true,
    opened: true,
    progress: true,
    snapshot: true,
    patch: true,
    gap: true,
    stale: true,
    heartbeat: true,
    reject: true,
    bye: true,
  };
  const types = files.map((file) => file.replace(".json", "")).sort();
  expect(types).toEqual([...FROM_CLIENT, ...Object.keys(server)].sort());
});

describe.each(files)("%s", (file) => {
  test.each(casesOf(file))("$name: parsed and written again it is the same", ({ message }) => {
    expect(message.type).toBe(file.replace(".json", ""));
    const parse = FROM_CLIENT.has(message.type) ? parseClient : parseServer;
    expect(JSON.parse(serialise(parse(JSON.stringify(message))))).toEqual(message);
  });

  test.each(casesOf(file))("$name: another type or a torn frame is refused", ({ message }) => {
    const parse = FROM_CLIENT.has(message.type) ? parseClient : parseServer;
    expect(() => parse(JSON.stringify({ ...message, type: "no-such" }))).toThrow(BadFrame);
    expect(() => parse(JSON.stringify(message).slice(1))).toThrow(BadFrame);
  });
});

test.each(casesOf("patch.json"))("P1 $name", ({ message, before, after }) => {
  const patch = message as Patch;
  const snapshot: Snapshot = {
    type: "snapshot",
    viewId: patch.viewId,
    viewVersion: patch.viewVersion,
    seq: patch.seq - 1,
    asOf: patch.asOf,
    ...before!,
  };
  const frozen = JSON.stringify(before);
  const { model, reshaped } = applyPatch(fromSnapshot(snapshot), patch);
  const { size, from, rows, total } = model;
  expect({ size, from, rows, total }).toEqual(after);
  expect(model.seq).toBe(patch.seq);
  expect(reshaped).toBe(patch.removed.length + patch.added.length + patch.moved.length > 0);
  expect(JSON.stringify(before)).toBe(frozen);
});
