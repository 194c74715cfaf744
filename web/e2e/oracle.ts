/**
 * Another way to the text of a cell, sharing nothing with the page's formatter:
 * whole numbers of the smallest unit, divided with remainder.
 */
const PLACES: Readonly<Record<string, number>> = {
  money: 2,
  local: 2,
  base: 2,
  price: 4,
  weight: 2,
  count: 0,
};
const AMOUNTS = new Set(["money", "local", "base"]);

export function expectedText(raw: string, unit: string, currency = "USD"): string | null {
  if (raw === "") return "–";
  if (unit === "text") return raw;
  if (unit === "time") return `${raw.slice(5, 10)} ${raw.slice(11, 19)}`;
  if (unit === "quantity") return group(raw);
  const places = AMOUNTS.has(unit) && currency === "JPY" ? 0 : PLACES[unit];
  if (places === undefined) return null;
  const [whole, fraction = ""] = raw.replace("-", "").split(".");
  const shift = places + (unit === "weight" ? 2 : 0);
  const digits = BigInt(whole + fraction.padEnd(shift, "0"));
  const divisor = 10n ** BigInt(Math.max(0, fraction.length - shift));
  let units = digits / divisor;
  const twice = (digits % divisor) * 2n;
  if (twice > divisor || (twice === divisor && units % 2n === 1n)) units += 1n;
  const text = units.toString().padStart(places + 1, "0");
  const plain = places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`;
  const sign = raw.startsWith("-") && units !== 0n ? "-" : "";
  return group(sign + plain) + (unit === "weight" ? "%" : "");
}

const group = (plain: string): string =>
  plain.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
