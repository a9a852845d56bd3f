// Which Chromium drives the journeys and the screenshots, and how it is started.
//
// CHROMIUM names one; otherwise the first on the PATH; otherwise the one Playwright keeps for itself.
import { accessSync, constants } from "node:fs";
import path from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function onPath() {
  const folders = (process.env.PATH ?? "").split(path.delimiter);
  for (const name of NAMES) {
    const found = folders.map((folder) => path.join(folder, name)).find(executable);
    if (found) return found;
  }
  return undefined;
}

/** Launch options for Playwright: quiet, offline but for the page itself, and without a sandbox as root. */
export const launchOptions = {
  executablePath: process.env.CHROMIUM || onPath(),
  args: [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  ],
};
