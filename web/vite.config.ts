import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { precompress } from "./scripts/precompress.ts";

// In development the page comes from Vite and the data from a running server,
// the mock (`npm run mock`) unless told otherwise.
const server = process.env["TICKVIEW_URL"] ?? "http://127.0.0.1:8787";

export default defineConfig({
  plugins: [react(), precompress()],
  server: {
    proxy: {
      "/api": { target: server },
      "/ws": { target: server, ws: true },
    },
  },
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0 },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
