// fetch.mjs URL: Node's fetch as it comes; prints the SHA-256 of the body.
import { createHash } from "node:crypto";

const begin = performance.now();
try {
  const answer = await fetch(process.argv[2], { signal: AbortSignal.timeout(10_000) });
  const body = Buffer.from(await answer.arrayBuffer());
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}: ${body.toString().trim()}`);
  console.log(createHash("sha256").update(body).digest("hex"));
} catch (error) {
  console.error(`${error}${error.cause ? `: ${error.cause}` : ""}`);
  process.exitCode = 1;
} finally {
  console.error(`took ${(performance.now() - begin) / 1000}`);
}
