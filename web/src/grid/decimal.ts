/**
 * Decimals as the wire writes them: strings in plain notation, of any length.
 *
 * Everything here works on digits. A float would lose the nineteenth one.
 */

const PLAIN = /^(-?)(\d+)(?:\.(\d+))?$/;

interface Digits {
  readonly negative: boolean;
  readonly whole: string;
  readonly fraction: string;
}

function digitsOf(raw: string): Digits | null {
  const match = PLAIN.exec(raw);
  if (match === null) return null;
  return { negative: match[1] === "-", whole: match[2]!, fraction: match[3] ?? "" };
}

/** Rounds half to even: a tie goes to the even neighbour, so sums of many do not drift. */
function roundTo({ negative, whole, fraction }: Digits, places: number): Digits {
  if (fraction.length <= places) return { negative, whole, fraction: fraction.padEnd(places, "0") };
  let kept = BigInt(whole + fraction.slice(0, places));
  const rest = fraction.slice(places);
  const aboveHalf = rest[0]! > "5" || (rest[0] === "5" && /[1-9]/.test(rest.slice(1)));
  const tie = rest[0] === "5" && !aboveHalf;
  if (aboveHalf || (tie && kept % 2n === 1n)) kept += 1n;
  const text = kept.toString().padStart(places + 1, "0");
  return {
    negative: negative && kept !== 0n,
    whole: text.slice(0, text.length - places),
    fraction: text.slice(text.length - places),
  };
}

function withSeparators(whole: string): string {
  let text = "";
  for (let end = whole.length; end > 0; end -= 3) {
    const group = whole.slice(Math.max(0, end - 3), end);
    text = text === "" ? group : `${group},${text}`;
  }
  return text;
}

function write({ negative, whole, fraction }: Digits): string {
  const sign = negative ? "-" : "";
  return sign + withSeparators(whole) + (fraction === "" ? "" : `.${fraction}`);
}

const isZero = ({ whole, fraction }: Digits): boolean => !/[1-9]/.test(whole + fraction);

/** `1234.565`, 2 → `1,234.56`. Text that is no decimal comes back as it is. */
export function fixed(raw: string, places: number): string {
  const digits = digitsOf(raw);
  if (digits === null) return raw;
  const rounded = roundTo(digits, places);
  return write(isZero(rounded) ? { ...rounded, negative: false } : rounded);
}

/** All digits there are, grouped: `-1234.5` → `-1,234.5`. */
export function exact(raw: string): string {
  const digits = digitsOf(raw);
  return digits === null ? raw : write(digits);
}

/** A ratio as a percentage: `0.123456`, 2 → `12.35%`. The point moves, nothing is multiplied. */
export function percent(raw: string, places: number): string {
  const digits = digitsOf(raw);
  if (digits === null) return raw;
  const fraction = digits.fraction.padEnd(2, "0");
  const whole = (digits.whole + fraction.slice(0, 2)).replace(/^0+(?=\d)/, "");
  return `${fixed(`${digits.negative ? "-" : ""}${whole}.${fraction.slice(2) || "0"}`, places)}%`;
}

/** Which way a value went: 1 up, -1 down, 0 the same or not comparable. */
export function compare(before: string, after: string): -1 | 0 | 1 {
  const a = digitsOf(before);
  const b = digitsOf(after);
  if (a === null || b === null) return 0;
  const places = Math.max(a.fraction.length, b.fraction.length);
  const scaled = (d: Digits) => BigInt(d.whole + d.fraction.padEnd(places, "0")) * (d.negative ? -1n : 1n);
  const difference = scaled(b) - scaled(a);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}
