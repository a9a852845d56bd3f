// Takes pictures of pages: node end2end/shoot.mjs URL OUTDIR [PATH...]
//
// Each path (default /) is taken at 1440x900 dark, 1440x900 light and 390x844 dark, and everything the page
// wrote to its console is printed. SHOOT_WAIT_MS (default 1500) is the time a page gets to come alive.
// Ends with code 1 when any page reported an error.
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "@playwright/test";
import { launchOptions } from "./browser.mjs";

const SHOTS = [
  { name: "dark", colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  { name: "light", colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { name: "mobile", colorScheme: "dark", viewport: { width: 390, height: 844 } },
];

const [url, folder, ...given] = process.argv.slice(2);
if (!url || !folder) {
  console.error("usage: node end2end/shoot.mjs URL OUTDIR [PATH...]");
  process.exit(2);
}
const paths = given.length > 0 ? given : ["/"];
const wait = Number(process.env.SHOOT_WAIT_MS ?? 1500);
mkdirSync(folder, { recursive: true });

function slug(address) {
  return address.replace(/^\/+|\/+$/g, "").replace(/[^A-Za-z0-9]+/g, "-") || "home";
}

let errors = 0;

async function shoot(browser, address, shot) {
  const context = await browser.newContext({ colorScheme: shot.colorScheme, viewport: shot.viewport });
  const page = await context.newPage();
  const label = `${address} (${shot.name})`;
  page.on("console", (message) => {
    if (message.type() === "error") errors += 1;
    console.log(`${label} ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => {
    errors += 1;
    console.log(`${label} uncaught: ${error.stack ?? error.message}`);
  });
  await page.goto(new URL(address, url).href, { waitUntil: "load" });
  await page.waitForTimeout(wait);
  const file = path.join(folder, `${slug(address)}-${shot.name}.png`);
  await page.screenshot({ path: file });
  console.log(`${label} -> ${file}`);
  await context.close();
}

const browser = await chromium.launch(launchOptions);
try {
  for (const address of paths) {
    for (const shot of SHOTS) await shoot(browser, address, shot);
  }
} finally {
  await browser.close();
}
process.exit(errors > 0 ? 1 : 0);
