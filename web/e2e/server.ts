/** A server of a test's own: the real binary on a free port, with the flags the test needs. */
import { spawn, type ChildProcess } from "node:child_process";
import { until } from "./screen.ts";

export interface RealServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts `binary serve` and waits until it is ready. */
export async function serve(binary: string, flags: readonly string[]): Promise<RealServer> {
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const url = () => /listening on (http:\/\/[\d.:]+)/.exec(log)?.[1];
  try {
    await until("a ready server", async () => {
      if (child.exitCode !== null) throw new Error(`the server ended: ${log}`);
      return url() !== undefined && (await fetch(`${url()}/readyz`)).ok;
    });
  } catch (error) {
    await end(child);
    throw error;
  }
  return { url: url()!, stop: () => end(child) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await ended;
}
