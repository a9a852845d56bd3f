// How the browser journeys run. Each journey starts its own program (see fixtures.ts), so journeys never meet
// and run in any order beside each other.
import { defineConfig } from "@playwright/test";
import { launchOptions } from "./browser.mjs";
import { outputFolder } from "./program.ts";

export default defineConfig({
  testDir: "tests",
  outputDir: outputFolder(),
  reporter: [["list"]],
  fullyParallel: true,
  workers: Number(process.env.VITRINE_WORKERS ?? 2),
  // A journey runs once: what fails now and then is a fault, of the program or of the journey. The
  // trace of one that failed is kept.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  // Several times what the longest takes alone: on a busy machine it takes as much longer.
  timeout: 180_000,
  expect: { timeout: 30_000 },
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
