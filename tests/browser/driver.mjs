// Drives Chromium for tests/browser: a command in each line of standard input, its answer in a line
// of standard output. The browser ends with the input.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(new URL("../interop/", import.meta.url))("playwright-core");

const [executablePath, deadline] = process.argv.slice(2);
const timeout = Number(deadline) * 1000;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const pages = [];

const commands = {
    /** A page with a window, cookies and storage of its own. */
    async open(url) {
        const context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
        context.setDefaultTimeout(timeout);
        const page = await context.newPage();
        page.problems = [];
        page.on("pageerror", (error) => page.problems.push(String(error.stack)));
        await page.goto(url);
        return pages.push(page) - 1;
    },
    async close(number) {
        await pages[number].context().close();
        return pages[number].problems;
    },
    /** Call a method of the page: `keyboard.press`, `mouse.move`, `fill`, `screenshot`. */
    async call(number, path, args) {
        const names = path.split(".");
        const method = names.pop();
        const target = names.reduce((object, name) => object[name], pages[number]);
        return (await target[method](...args)) ?? null;
    },
    /** Wait until an expression holds in the page. */
    async until(number, expression) {
        try {
            await pages[number].waitForFunction(expression, null, { polling: 20 });
        } catch (error) {
            const text = await pages[number].evaluate("document.body.innerText");
            throw new Error(`${error.message}; the page says:\n${text}`);
        }
        return null;
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...args] = JSON.parse(line);
    let answer;
    try {
        answer = { value: await commands[command](...args) };
    } catch (error) {
        answer = { problem: String(error.message) };
    }
    process.stdout.write(`${JSON.stringify(answer, (_, value) => (Buffer.isBuffer(value) ? null : value))}\n`);
}
await browser.close();
