import { expect, test } from "vitest";
import type { Row, Snapshot } from "../protocol/messages.ts";
import { applyPatch, fromSnapshot } from "../protocol/model.ts";
import { diff, type View } from "./diff.ts";
import { between, pick, seeded, type Random } from "./random.ts";

function randomView(random: Random): View {
  const names = "ABCDEFGHIJKL".split("").filter(() => random() < 0.6);
  for (let i = names.length - 1; i > 0; i--) {
    const j = between(random, 0, i);
    [names[i], names[j]] = [names[j]!, names[i]!];
  }
  const some = () => ({
    values: [pick(random, ["1", "2", null]), pick(random, ["3", "4"])],
    quality: random() < 0.5 ? {} : { 0: pick(random, ["STALE", "MISSING"]) },
  });
  const rows = names.map((name): Row => ({ key: [name], depth: 1, expandable: false, ...some() }));
  return { size: between(random, rows.length, 99), rows, total: some() };
}

test("P1: any two windows differ by a patch that takes one to the other", () => {
  const random = seeded(1);
  for (let round = 0; round < 500; round++) {
    const [before, after] = [randomView(random), randomView(random)];
    const body = diff(before, after);
    if (body === null) {
      expect(after).toEqual(before);
      continue;
    }
    const head = { viewId: "v", viewVersion: 1, asOf: { epoch: 1, time: "" } };
    const snapshot: Snapshot = { type: "snapshot", ...head, seq: 1, from: 0, ...before };
    const { model } = applyPatch(fromSnapshot(snapshot), { type: "patch", ...head, seq: 2, ...body });
    expect({ size: model.size, rows: model.rows, total: model.total }).toEqual(after);
  }
});
