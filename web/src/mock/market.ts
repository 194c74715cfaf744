/**
 * A made-up market that ticks: accounts, instruments, holdings and orders.
 *
 * Amounts are BigInt with fixed scales, so what the mock sends adds up exactly.
 * It prices in one currency and keeps no FX: it is there to exercise a client.
 */
import { between, pick, seeded, type Random } from "./random.ts";

export const QUANTITY_SCALE = 6;
export const PRICE_SCALE = 8;

export interface MockAccount {
  readonly id: string;
  readonly name: string;
  readonly strategy: string | null;
  readonly region: string | null;
}
export interface MockInstrument {
  readonly id: string;
  readonly assetClass: string;
  readonly sector: string | null;
  readonly country: string | null;
  readonly currency: string;
  /** null while unpriced. */
  price: bigint | null;
  readonly sodPrice: bigint;
  priceTime: string;
  stale: boolean;
}
export interface Leg {
  readonly account: MockAccount;
  readonly instrument: MockInstrument;
  readonly portfolio: string;
  readonly orderId: string | null;
  readonly side: string | null;
  status: string | null;
  readonly sod: bigint;
  filled: bigint;
  remaining: bigint;
}

const SECTORS = [
  "Energy",
  "Materials",
  "Industrials",
  "Consumer Discretionary",
  "Consumer Staples",
  "Health Care",
  "Financials",
  "Information Technology",
  "Communication Services",
  "Utilities",
  "Real Estate",
  null,
];
const COUNTRIES = ["US", "GB", "DE", "FR", "JP", "CH", "NL", "SE", "CA", "AU", null];
const STRATEGIES = ["Long/Short", "Market Neutral", "Long Only", "Event Driven", null];
const REGIONS = ["Americas", "EMEA", "APAC", null];

export interface MarketSize {
  readonly accounts: number;
  readonly instruments: number;
  readonly holdingsPerAccount: number;
  readonly ordersPerAccount: number;
}

export const SMALL: MarketSize = {
  accounts: 40,
  instruments: 300,
  holdingsPerAccount: 60,
  ordersPerAccount: 15,
};

export class Market {
  readonly accounts: MockAccount[] = [];
  readonly instruments: MockInstrument[] = [];
  readonly legs: Leg[] = [];
  readonly portfolios = ["", "P1", "P2"];
  readonly businessDate = "2026-03-02";
  epoch = 1;
  timeMs: number;
  readonly #random: Random;

  constructor(size: MarketSize = SMALL, seed = 7, timeMs = Date.now()) {
    this.timeMs = timeMs;
    const random = (this.#random = seeded(seed));
    for (let i = 1; i <= size.accounts; i++) {
      const id = `A${String(i).padStart(5, "0")}`;
      this.accounts.push({
        id,
        name: `Alpha ${i}`,
        strategy: pick(random, STRATEGIES),
        region: pick(random, REGIONS),
      });
    }
    for (let i = 1; i <= size.instruments; i++) {
      const price = BigInt(between(random, 500, 90_000)) * 10n ** BigInt(PRICE_SCALE - 2);
      const kind = random();
      this.instruments.push({
        id: `INS${String(i).padStart(5, "0")}`,
        assetClass: kind < 0.85 ? "EQUITY" : kind < 0.95 ? "BOND" : "FUND",
        sector: pick(random, SECTORS),
        country: pick(random, COUNTRIES),
        currency: pick(random, ["USD", "USD", "EUR", "GBP", "JPY"]),
        price: random() < 0.02 ? null : price,
        sodPrice: price,
        priceTime: new Date(timeMs).toISOString(),
        stale: random() < 0.03,
      });
    }
    const cash: MockInstrument = {
      id: "USD",
      assetClass: "CASH",
      sector: null,
      country: null,
      currency: "USD",
      price: 10n ** BigInt(PRICE_SCALE),
      sodPrice: 10n ** BigInt(PRICE_SCALE),
      priceTime: new Date(timeMs).toISOString(),
      stale: false,
    };
    let order = 0;
    for (const account of this.accounts) {
      const base = { account, orderId: null, side: null, status: null, filled: 0n, remaining: 0n };
      this.legs.push({
        ...base,
        instrument: cash,
        portfolio: "",
        sod: quantity(between(random, -900_000, 9_000_000)),
      });
      for (let i = 0; i < size.holdingsPerAccount; i++) {
        const sod = quantity(between(random, -4_000, 20_000));
        this.legs.push({
          ...base,
          instrument: pick(random, this.instruments),
          portfolio: pick(random, this.portfolios),
          sod,
        });
      }
      for (let i = 0; i < size.ordersPerAccount; i++) {
        const side = pick(random, ["BUY", "SELL", "SELL_SHORT"]);
        const sign = side === "BUY" ? 1 : -1;
        this.legs.push({
          ...base,
          instrument: pick(random, this.instruments),
          portfolio: pick(random, this.portfolios),
          orderId: `O${String(++order).padStart(7, "0")}`,
          side,
          status: "NEW",
          sod: 0n,
          remaining: quantity(sign * between(random, 100, 9_000)),
        });
      }
    }
  }

  /** Moves some prices, fills some orders, and now and then loses or finds a price. */
  tick(elapsedMs: number): void {
    const random = this.#random;
    this.epoch += 1;
    this.timeMs += elapsedMs;
    const time = new Date(this.timeMs).toISOString();
    for (let i = 0; i < Math.max(1, this.instruments.length / 60); i++) {
      const instrument = pick(random, this.instruments);
      const price = instrument.price ?? instrument.sodPrice;
      instrument.price =
        random() < 0.004 ? null : price + (price * BigInt(between(random, -20, 20))) / 10_000n;
      instrument.priceTime = time;
      instrument.stale = random() < 0.02;
    }
    const leg = pick(random, this.legs);
    if (leg.orderId !== null && leg.remaining !== 0n) {
      const fill = leg.remaining / 2n || leg.remaining;
      leg.filled += fill;
      leg.remaining -= fill;
      leg.status = leg.remaining === 0n ? "FILLED" : "PARTIALLY_FILLED";
    }
  }
}

const quantity = (units: number): bigint => BigInt(units) * 10n ** BigInt(QUANTITY_SCALE);
