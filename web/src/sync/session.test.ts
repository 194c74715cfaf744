import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Heartbeat, Reject, ServerMessage, ViewSpec } from "../protocol/messages.ts";
import { backoffMs, BACKOFF_MAX_MS } from "./backoff.ts";
import { stateOf, type Vitals } from "./liveness.ts";
import { ServerClock } from "./serverClock.ts";
import { Session, type Beat } from "./session.ts";
import { FakeNetwork, heartbeat, opened, patch, snapshot, welcome } from "./testing/fakeServer.ts";

const spec: ViewSpec = { view: "account_overview", accounts: "all", groupBy: ["sector"] };
const other: ViewSpec = { ...spec, groupBy: ["currency"] };

let network: FakeNetwork;
let session: Session;
let beat: Beat | null;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "warn").mockImplementation(() => {});
  network = new FakeNetwork();
  session = new Session(network.dial, "c1", () => 0.5);
  beat = null;
  session.events.on("beat", (now) => (beat = now));
});
afterEach(() => {
  session.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const shown = () => session.model?.rows[0]?.values[0];

/** Answers each ping at once for so long, as a healthy server does. */
function healthy(ms: number, lagMs = 0): void {
  for (let passed = 0; passed < ms; passed += 250) {
    const before = network.last.of("ping").length;
    vi.advanceTimersByTime(250);
    for (const { t } of network.last.of("ping").slice(before)) network.last.say(heartbeat(t, lagMs));
  }
}

function live(): void {
  session.setSpec(spec);
  session.start();
  network.last.open();
  network.last.say(welcome());
  network.last.say(opened(1));
  network.last.say(snapshot(1, 1));
  healthy(250);
}

describe("P8 states", () => {
  const good: Vitals = { connected: true, inSync: true, silentMs: 0, lagMs: 0, sourceStaleMs: 0 };
  test.each<[Partial<Vitals>, string]>([
    [{}, "LIVE"],
    [{ silentMs: 2_000 }, "LIVE"],
    [{ silentMs: 2_001 }, "LAGGING"],
    [{ lagMs: 3_000 }, "LAGGING"],
    [{ silentMs: 5_001 }, "STALE"],
    [{ sourceStaleMs: 6_000 }, "STALE"],
    [{ inSync: false }, "STALE"],
    [{ connected: false }, "DISCONNECTED"],
    [{ connected: false, silentMs: 9_000 }, "DISCONNECTED"],
  ])("%j is %s", (change, state) => expect(stateOf({ ...good, ...change })).toBe(state));

  test("a quiet but answering server stays LIVE", () => {
    live();
    healthy(60_000);
    expect(beat!.state).toBe("LIVE");
    expect(network.sockets).toHaveLength(1);
  });

  test("silence: LAGGING after 2 s, STALE after 5 s, dead and dialled anew after 15 s", () => {
    live();
    vi.advanceTimersByTime(2_500);
    expect(beat!.state).toBe("LAGGING");
    vi.advanceTimersByTime(3_000);
    expect(beat!.state).toBe("STALE");
    vi.advanceTimersByTime(9_750);
    expect(beat!.state).toBe("DISCONNECTED");
    expect(network.sockets[0]!.closed).toBe(true);
    vi.advanceTimersByTime(1_000);
    expect(network.sockets).toHaveLength(2);
  });

  test("a tab whose timers stand still keeps up its side by answering what it hears", () => {
    live();
    const pings = network.last.of("ping").length;
    vi.setSystemTime(Date.now() + 5_000);
    network.last.say(heartbeat(1));
    expect(network.last.of("ping")).toHaveLength(pings + 1);
  });

  test("an engine that says it lags is not LIVE, however fast it answers", () => {
    live();
    healthy(5_500, 2_400);
    expect(beat!.state).toBe("LAGGING");
  });

  test("a quiet source makes STALE until it says it is back", () => {
    live();
    network.last.say({ type: "stale", source: "base.price", sinceMs: 6_000 });
    healthy(250);
    expect(beat!.state).toBe("STALE");
    network.last.say({ type: "stale", source: "base.price", sinceMs: 0 });
    healthy(250);
    expect(beat!.state).toBe("LIVE");
  });
});

describe("P2", () => {
  test("patches apply and each is acknowledged", () => {
    live();
    network.last.say(patch(1, 2, "2"));
    network.last.say(patch(1, 3, "3"));
    expect(shown()).toBe("3");
    expect(network.last.of("ack").map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test("a hole in seq applies nothing and asks for a snapshot, once", () => {
    live();
    network.last.say(patch(1, 3, "3"));
    network.last.say(patch(1, 4, "4"));
    expect(shown()).toBe("1");
    expect(network.last.of("window")).toHaveLength(1);
    network.last.say(snapshot(1, 5, "5"));
    network.last.say(patch(1, 6, "6"));
    expect(shown()).toBe("6");
  });

  test("a patch that does not fit asks for a snapshot", () => {
    live();
    network.last.say({ ...patch(1, 2, "2"), removed: [7] });
    expect(shown()).toBe("1");
    expect(network.last.of("window")).toHaveLength(1);
  });

  test("frames of another version are dropped but acknowledged", () => {
    live();
    session.setSpec(other);
    expect(network.last.of("change")[0]).toMatchObject({ viewVersion: 2, spec: other });
    network.last.say(patch(1, 2, "old"));
    expect(shown()).toBe("1");
    expect(network.last.of("ack").at(-1)!.seq).toBe(2);
    network.last.say(opened(2));
    network.last.say(snapshot(2, 3, "new"));
    expect(shown()).toBe("new");
  });

  test("after a gap nothing is applied before the snapshot", () => {
    live();
    network.last.say({ type: "gap", viewId: "v1", reason: "slow" });
    network.last.say(patch(1, 2, "2"));
    expect(shown()).toBe("1");
    network.last.say(snapshot(1, 3, "3"));
    expect(shown()).toBe("3");
  });

  test("a malformed frame is let pass, and the hole it leaves is healed", () => {
    live();
    network.last.onmessage!({ data: "{" });
    network.last.say(patch(1, 3, "3"));
    expect(network.last.of("window")).toHaveLength(1);
  });
});

describe("P7", () => {
  function comeBack(): void {
    network.last.drop();
    vi.advanceTimersByTime(1_000);
    network.last.open();
  }

  test("a lost line resumes where it was and is not LIVE before it has caught up", () => {
    live();
    network.last.say(patch(1, 2, "2"));
    comeBack();
    expect(network.last.of("hello")[0]!.resume).toEqual({
      sessionId: "s1",
      token: "k",
      views: [{ viewId: "v1", viewVersion: 1, seq: 2 }],
    });
    expect(network.last.of("open")).toHaveLength(0);
    network.last.say(welcome());
    vi.advanceTimersByTime(250);
    expect(beat!.state).toBe("STALE");
    network.last.say(patch(1, 3, "3"));
    expect(beat!.state).toBe("LIVE");
    expect(shown()).toBe("3");
  });

  test("nothing changed meanwhile: the answer to the first ping settles it", () => {
    live();
    comeBack();
    network.last.say(welcome());
    network.last.say(heartbeat(network.last.of("ping")[0]!.t));
    expect(beat!.state).toBe("LIVE");
  });

  test("VIEW_GONE opens afresh under a new version", () => {
    live();
    comeBack();
    network.last.say(welcome());
    network.last.say({ type: "reject", viewId: "v1", viewVersion: 1, code: "VIEW_GONE", message: "" });
    expect(network.last.of("open")).toMatchObject([{ viewVersion: 2, spec }]);
    vi.advanceTimersByTime(250);
    expect(beat!.state).toBe("STALE");
    network.last.say(opened(2));
    network.last.say(snapshot(2, 1, "again"));
    expect(shown()).toBe("again");
    expect(beat!.state).toBe("LIVE");
  });

  test("another session id means the views are gone too, and opens only once", () => {
    live();
    comeBack();
    network.last.say(welcome("s2"));
    network.last.say({ type: "reject", viewId: "v1", viewVersion: 1, code: "VIEW_GONE", message: "" });
    expect(network.last.of("open")).toHaveLength(1);
  });

  test("a choice made while disconnected is sent on return", () => {
    live();
    network.last.drop();
    session.setSpec(other);
    vi.advanceTimersByTime(1_000);
    network.last.open();
    expect(network.last.of("hello")[0]!.resume).toBeDefined();
    expect(network.last.of("change")[0]).toMatchObject({ spec: other });
  });

  test("bye says when to come back", () => {
    live();
    network.last.say({ type: "bye", reason: "restart", retryAfterMs: 4_000 });
    network.last.drop();
    vi.advanceTimersByTime(3_900);
    expect(network.sockets).toHaveLength(1);
    vi.advanceTimersByTime(200);
    expect(network.sockets).toHaveLength(2);
  });
});

describe("rejects", () => {
  test("a refused change leaves the last accepted view, live again after a snapshot", () => {
    live();
    const rejects: Reject[] = [];
    session.events.on("reject", (reject) => rejects.push(reject));
    session.setSpec(other);
    network.last.say({ type: "reject", viewId: "v1", viewVersion: 2, code: "UNKNOWN_FIELD", message: "no" });
    expect(rejects).toHaveLength(1);
    network.last.say(snapshot(1, 2, "2"));
    network.last.say(patch(1, 3, "3"));
    expect(shown()).toBe("3");
    session.setSpec(spec);
    expect(network.last.of("change").at(-1)!.viewVersion).toBe(3);
  });

  test("after a refused open the next choice opens", () => {
    session.setSpec(spec);
    session.start();
    network.last.open();
    network.last.say(welcome());
    network.last.say({ type: "reject", viewId: "v1", viewVersion: 1, code: "BAD_SPEC", message: "no" });
    session.setSpec(other);
    expect(network.last.of("open").at(-1)).toMatchObject({ viewVersion: 2, spec: other });
  });
});

test("a window is asked for once, and the newest wish follows its snapshot", () => {
  live();
  session.setWindow({ from: 0, to: 256 });
  session.setWindow({ from: 64, to: 320 });
  session.setWindow({ from: 128, to: 384 });
  expect(network.last.of("window")).toEqual([{ type: "window", viewId: "v1", from: 0, to: 256 }]);
  network.last.say(snapshot(1, 2));
  expect(network.last.of("window").at(-1)).toMatchObject({ from: 128, to: 384 });
});

test("delays double, keep half of themselves, and stop at ten seconds", () => {
  expect([0, 1, 2, 3].map((n) => backoffMs(n, () => 1))).toEqual([250, 500, 1_000, 2_000]);
  expect(backoffMs(0, () => 0)).toBe(125);
  expect(backoffMs(50, () => 1)).toBe(BACKOFF_MAX_MS);
});

test("the server clock: answers give the round trip, other beats the offset", () => {
  const clock = new ServerClock();
  clock.pinged(1_000, 1_000);
  clock.heard(1_000, 1_040);
  expect(clock.rttMs).toBe(40);
  expect(clock.now(2_000)).toBe(2_000);
  clock.heard(5_000, 4_700);
  clock.heard(6_000, 5_650);
  expect(clock.now(10_000)).toBe(10_350);
});

describe("data that stands still", () => {
  const SINCE = "2026-03-02T14:29:51Z";
  const still = (t: number): ServerMessage => ({
    ...(heartbeat(t) as Heartbeat),
    halted: { reason: "memory limit reached", since: SINCE },
  });

  test("is said as soon as the server says it, and is STALE by its age on the server's clock", () => {
    live();
    expect(beat).toMatchObject({ state: "LIVE", halted: null });
    network.last.say(still(Date.parse(SINCE) + 6_000));
    expect(beat).toMatchObject({ state: "STALE", halted: { reason: "memory limit reached", since: SINCE } });
  });

  test("is LIVE again once a heartbeat does not say it any more", () => {
    live();
    network.last.say(still(Date.parse(SINCE) + 6_000));
    network.last.say(heartbeat(1));
    expect(beat).toMatchObject({ state: "LIVE", halted: null });
  });

  test("grows old while nothing else is heard", () => {
    live();
    network.last.say(still(Date.parse(SINCE)));
    expect(beat?.state).toBe("LIVE");
    for (let passed = 0; passed < 6_000; passed += 250) {
      vi.advanceTimersByTime(250);
      network.last.say(still(Date.parse(SINCE) + passed));
    }
    expect(beat?.state).toBe("STALE");
  });

  test("is not known of a server that is gone", () => {
    live();
    network.last.say(still(Date.parse(SINCE)));
    network.last.drop();
    expect(beat).toMatchObject({ state: "DISCONNECTED", halted: null });
  });
});
