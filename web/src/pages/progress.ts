/**
 * How a load comes on: how much of what was announced, how fast, how long the rest will take.
 *
 * The server says once a second how far each source is; rates are taken here, over the last seconds.
 */
import type { Progress } from "../protocol/messages.ts";

/** Long enough to even out what a single second does, short enough to be of now. */
const RATE_OVER_MS = 5_000;

interface Sample {
  readonly atMs: number;
  readonly done: number;
}
export interface SourceProgress {
  readonly done: number;
  readonly total: number;
  readonly unit: "rows" | "bytes";
  /** Oldest first. */
  readonly samples: readonly Sample[];
}
export type Load = Readonly<Record<string, SourceProgress>>;

export interface Amounts {
  readonly done: number;
  readonly total: number;
  readonly unit: "rows" | "bytes";
  /** 0 to 1. */
  readonly share: number;
  /** null until two samples differ. */
  readonly perSecond: number | null;
  readonly leftMs: number | null;
}

/** The load once one source has told how far it is. */
export function advanced(load: Load, { source, done, total, unit }: Progress, nowMs: number): Load {
  const before = load[source]?.samples ?? [];
  // A server that loads anew begins again.
  const kept = before.filter((sample) => sample.done <= done);
  const recent = kept.findLastIndex((sample) => nowMs - sample.atMs >= RATE_OVER_MS);
  const samples = [...kept.slice(Math.max(0, recent)), { atMs: nowMs, done }];
  return { ...load, [source]: { done, total, unit: unit ?? "rows", samples } };
}

export function amountsOf(source: SourceProgress): Amounts {
  const [first] = source.samples;
  const last = source.samples.at(-1);
  const spanMs = first === undefined || last === undefined ? 0 : last.atMs - first.atMs;
  const perSecond = spanMs > 0 ? ((last!.done - first!.done) / spanMs) * 1_000 : 0;
  return amounts(source.done, source.total, source.unit, perSecond);
}

/** All sources together; null before any has told. */
export function overall(load: Load): Amounts | null {
  const sources = Object.values(load);
  const [first] = sources;
  if (first === undefined) return null;
  const sum = (of: (source: SourceProgress) => number) => sources.reduce((all, source) => all + of(source), 0);
  return amounts(
    sum(({ done }) => done),
    sum(({ total }) => total),
    first.unit,
    sum((source) => amountsOf(source).perSecond ?? 0),
  );
}

function amounts(done: number, total: number, unit: "rows" | "bytes", perSecond: number): Amounts {
  return {
    done,
    total,
    unit,
    share: total > 0 ? Math.min(1, done / total) : 0,
    perSecond: perSecond > 0 ? perSecond : null,
    leftMs: perSecond > 0 ? (Math.max(0, total - done) / perSecond) * 1_000 : null,
  };
}

/** `1,200,000` rows, or `1.2 MB`. */
export function amount(value: number, unit: "rows" | "bytes"): string {
  return unit === "rows" ? Math.round(value).toLocaleString("en") : `${(value / 1e6).toFixed(1)} MB`;
}
