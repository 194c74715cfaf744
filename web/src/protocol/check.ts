/**
 * Small predicates over unknown JSON, enough to refuse a malformed frame
 * before anything downstream relies on its shape.
 */

export type Json = Readonly<Record<string, unknown>>;
export type Check = (value: unknown) => boolean;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const isString: Check = (value) => typeof value === "string";
export const isBoolean: Check = (value) => typeof value === "boolean";
export const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
/** A position, version or count: whole, not negative, exact as a JS number. */
export const isNatural: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
export const isCell: Check = (value) => value === null || typeof value === "string";

export const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);

export const orNull =
  (inner: Check): Check =>
  (value) =>
    value === null || inner(value);

export const oneOf =
  (...choices: readonly unknown[]): Check =>
  (value) =>
    choices.includes(value);

export const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));

/** Every value of an object. */
export const mapOf =
  (item: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value).every(item);

/** Required fields, then fields that may be absent. Further fields are let through. */
export const shape =
  (required: Record<string, Check>, optional: Record<string, Check> = {}): Check =>
  (value) => {
    if (!isObject(value)) return false;
    for (const name in required) if (!required[name]!(value[name])) return false;
    for (const name in optional) if (value[name] !== undefined && !optional[name]!(value[name])) return false;
    return true;
  };
