// How the browser journeys run. Each worker starts its own server (see fixtures.ts), so journeys in
// different files never meet; journeys in one file share a server and run one after the other.
import { defineConfig } from "@playwright/test";
import { launchOptions } from "./browser.mjs";
import { outputFolder } from "./program.ts";

export default defineConfig({
  testDir: "tests",
  outputDir: outputFolder(),
  reporter: [["list"]],
  workers: Number(process.env.VITRINE_WORKERS ?? 2),
  // A journey runs once: what fails now and then is a fault, of the program or of the journey. The
  // trace of one that failed is kept.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    browserName: "chromium",
    headless: true,
    launchOptions,
    viewport: { width: 1440, height: 900 },
    colorScheme: "dark",
    locale: "en-GB",
    timezoneId: "UTC",
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
  },
});
