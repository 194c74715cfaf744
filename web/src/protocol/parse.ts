/**
 * Text to message and back. A frame that does not fit raises `BadFrame`;
 * fields this client does not know stay in the message untouched.
 */
import {
  either,
  isBoolean,
  isCell,
  isNatural,
  isNumber,
  isObject,
  isString,
  listOf,
  mapOf,
  oneOf,
  orNull,
  shape,
  type Check,
} from "./check.ts";
import type { ClientMessage, ServerMessage } from "./messages.ts";

export class BadFrame extends Error {}

const key = listOf(isCell);
const quality = mapOf(isString);
const asOf = shape({ epoch: isNatural, time: isString });
const row = shape(
  { key, depth: isNatural, expandable: isBoolean, values: listOf(isCell), quality },
  { label: isString },
);
const addedRow: Check = (value) => row(value) && shape({ at: isNatural })(value);
const run: Check = (value) =>
  shape({ column: isNatural, rows: listOf(isNatural), values: listOf(isCell) })(value) &&
  (value as { rows: unknown[] }).rows.length === (value as { values: unknown[] }).values.length;
const totalCell = shape({ column: isNatural, value: isCell });
const view = { viewId: isString, viewVersion: isNatural };

const SERVER: Record<ServerMessage["type"], Check> = {
  welcome: shape({
    sessionId: isString,
    token: isString,
    graceMs: isNumber,
    heartbeatMs: isNumber,
    limits: isObject,
  }),
  opened: shape({
    ...view,
    schema: listOf(
      shape({
        name: isString,
        type: oneOf("decimal", "count", "time", "text"),
        scale: isNatural,
        unit: isString,
      }),
    ),
    strategy: isString,
  }),
  progress: shape({ source: isString, done: isNumber, total: isNumber }, { unit: oneOf("bytes") }),
  snapshot: shape({
    ...view,
    seq: isNatural,
    asOf,
    size: isNatural,
    from: isNatural,
    rows: listOf(row),
    total: shape({ values: listOf(isCell), quality }),
  }),
  patch: shape({
    ...view,
    seq: isNatural,
    asOf,
    size: isNatural,
    removed: listOf(isNatural),
    added: listOf(addedRow),
    moved: listOf(shape({ from: isNatural, to: isNatural })),
    cells: listOf(run),
    quality: listOf(run),
    total: shape({ cells: listOf(totalCell), quality: listOf(totalCell) }),
  }),
  gap: shape({ viewId: isString, reason: isString }),
  stale: shape({ source: isString, sinceMs: isNumber }),
  heartbeat: shape(
    { t: isNumber, asOf: orNull(asOf), lagMs: isNumber },
    { halted: shape({ reason: isString, since: isString }) },
  ),
  reject: shape({
    viewId: orNull(isString),
    viewVersion: orNull(isNatural),
    code: isString,
    message: isString,
  }),
  bye: shape({ reason: isString, retryAfterMs: isNumber }),
};

const window = shape({ from: isNatural, to: isNatural });
const spec = either(
  shape({ sql: isString }),
  shape(
    {
      view: isString,
      accounts: either(oneOf("all"), listOf(isString)),
      groupBy: listOf(isString),
    },
    {
      portfolios: listOf(isString),
      exposures: listOf(oneOf("SOD", "CURRENT", "EXPECTED")),
      columns: listOf(isString),
      sort: listOf(shape({ column: isString, desc: isBoolean })),
      filter: listOf(shape({ column: isString, op: isString, value: isCell })),
      expanded: either(isString, listOf(key)),
      currency: isString,
      scenario: isString,
      excludeCash: isBoolean,
    },
  ),
);
const branch = shape({ viewId: isString }, { key, level: isNatural });

const CLIENT: Record<ClientMessage["type"], Check> = {
  hello: shape(
    { protocol: isNatural, clientId: isString },
    {
      accept: listOf(isString),
      resume: shape({
        sessionId: isString,
        token: isString,
        views: listOf(shape({ ...view, seq: isNatural })),
      }),
    },
  ),
  open: shape({ ...view, spec, window }),
  change: shape({ ...view, spec }),
  window: shape({ viewId: isString, from: isNatural, to: isNatural }, { columns: listOf(isString) }),
  expand: branch,
  collapse: branch,
  pause: shape({ viewId: isString, mode: oneOf("all", "order") }),
  resume: shape({ viewId: isString }),
  ack: shape({ viewId: isString, seq: isNatural }),
  close: shape({ viewId: isString }),
  ping: shape({ t: isNumber }),
};

function parse<M>(text: string, checks: Record<string, Check>): M {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadFrame("not JSON");
  }
  if (!isObject(value) || typeof value["type"] !== "string") throw new BadFrame("no type");
  const type = value["type"];
  if (!Object.hasOwn(checks, type)) throw new BadFrame(`unknown type ${type}`);
  if (!checks[type]!(value)) throw new BadFrame(`malformed ${type}`);
  return value as M;
}

export const parseServer = (text: string): ServerMessage => parse(text, SERVER);
export const parseClient = (text: string): ClientMessage => parse(text, CLIENT);
export const serialise = (message: ClientMessage | ServerMessage): string => JSON.stringify(message);
