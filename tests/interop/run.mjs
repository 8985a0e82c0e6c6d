// Runs the cases of some files with one client in one encoding:
//     node run.mjs 2.3.19 bare '{"open": "http://..."}' results.json cases/values.mjs ...

import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { run } from "./suite.mjs";

const [version, encoding, services, results, ...files] = process.argv.slice(2);
const { createClient } = await import(`rivetkit-${version.replaceAll(".", "-")}/client`);
for (const file of files) {
    await import(resolve(file));
}
writeFileSync(results, JSON.stringify(await run(createClient, version, encoding, JSON.parse(services))));
process.exit(0);
