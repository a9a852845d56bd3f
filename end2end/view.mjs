// Keeps one page open, as somebody would who looks at it all day: node end2end/view.mjs URL
//
// Prints "open" when the page streams, and closes it when its standard input ends.
import { chromium } from "@playwright/test";
import { launchOptions } from "./browser.mjs";

const [url] = process.argv.slice(2);
if (!url) {
  console.error("usage: node end2end/view.mjs URL");
  process.exit(2);
}
const browser = await chromium.launch(launchOptions);
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(url);
  await page.locator('.app[data-connection="live"]').waitFor();
  console.log("open");
  for await (const _ of process.stdin);
} finally {
  await browser.close();
}
