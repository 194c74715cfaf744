/** `npm run mock [port]`: the mock server, with the built page if there is one. */
import { fileURLToPath } from "node:url";
import { Market, SMALL } from "./market.ts";
import { MockServer } from "./server.ts";

const number = (name: string, standard: number): number => Number(process.env[name] ?? standard);

const server = new MockServer({
  market: new Market({
    ...SMALL,
    accounts: number("MOCK_ACCOUNTS", SMALL.accounts),
    holdingsPerAccount: number("MOCK_HOLDINGS", SMALL.holdingsPerAccount),
  }),
  tickMs: number("MOCK_TICK_MS", 250),
  loadMs: number("MOCK_LOAD_MS", 0),
  assets: fileURLToPath(new URL("../../dist", import.meta.url)),
});
const port = await server.listen(Number(process.argv[2] ?? 8787));
console.log(`mock server on http://127.0.0.1:${port}`);
