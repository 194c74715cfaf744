/**
 * Writes a `.br` and a `.gz` beside every built text asset.
 *
 * The binary embeds these and hands them out as they are, so nothing is
 * compressed while a client waits. Best quality, since it is paid once a build.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSIBLE = /\.(html|js|css|svg|json|map)$/;

export function precompress(): Plugin {
  let directory = "dist";
  return {
    name: "tickview-precompress",
    apply: "build",
    configResolved(config) {
      directory = config.build.outDir;
    },
    async closeBundle() {
      for (const entry of await readdir(directory, { recursive: true })) {
        if (!COMPRESSIBLE.test(entry)) continue;
        const path = join(directory, entry);
        const plain = await readFile(path);
        const brotli = brotliCompressSync(plain, {
          params: {
            [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
          },
        });
        await writeFile(`${path}.br`, brotli);
        await writeFile(`${path}.gz`, gzipSync(plain, { level: 9 }));
      }
    },
  };
}
