// The program under test: where it lies, how it is started, and how it is ended.
//
// Starts the built `vitrine` on a free port with data that is thrown away, and waits for the address it prints.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

/** How long the program may take to print its address: a tenth of a second, but on a busy machine. */
const START_MS = 50_000;
/** How long the program may take to end after it was asked to, less than the time of a fixture. */
const STOP_MS = 50_000;

function targetFolder(): string {
  const cache = process.env.VITRINE_CACHE
    ?? path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "vitrine");
  return process.env.CARGO_TARGET_DIR || path.join(cache, "target");
}

/** Where Playwright leaves traces and pictures of failed journeys: outside the checkout. */
export function outputFolder(): string {
  return path.join(targetFolder(), "end2end");
}

function programPath(): string {
  const program = process.env.VITRINE_BIN || path.join(targetFolder(), "release", "vitrine");
  if (!existsSync(program)) throw new Error(`${program} is missing; run 'make build' first.`);
  return program;
}

/** A running program. */
export class Program {
  private constructor(
    /** Its address, such as http://127.0.0.1:40123, without a slash at the end. */
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly lines: string[],
  ) {}

  /** Everything it printed so far. */
  output(): string {
    return this.lines.join("");
  }

  /** Starts one; `more` are further arguments. */
  static async start(more: string[] = []): Promise<Program> {
    const listen = more.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const args = ["--ephemeral", ...listen, ...more];
    const child = spawn(programPath(), args, { stdio: ["ignore", "pipe", "pipe"] });
    const lines: string[] = [];
    const address = new Promise<string>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`vitrine ${why}. It printed:\n${lines.join("")}`));
      const timer = setTimeout(() => fail("printed no address in time"), START_MS);
      const hear = (text: string) => {
        lines.push(text);
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(lines.join(""));
        if (found && /\n/.test(lines.join("").slice(found.index))) {
          clearTimeout(timer);
          resolve(found[0]);
        }
      };
      child.stdout.setEncoding("utf8").on("data", hear);
      child.stderr.setEncoding("utf8").on("data", (text: string) => lines.push(text));
      child.once("error", (error) => fail(`did not start: ${error.message}`));
      child.once("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended early with ${code ?? signal}`);
      });
    });
    try {
      return new Program(await address, child, lines);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Asks it to end and returns its exit code; a program that does not end in time is an error. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const ended = new Promise<number | null>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.child.kill("SIGKILL");
        reject(new Error(`vitrine did not end ${STOP_MS / 1000} s after SIGTERM. It printed:\n${this.output()}`));
      }, STOP_MS);
      this.child.once("exit", (code) => {
        clearTimeout(timer);
        resolve(code);
      });
    });
    this.child.kill("SIGTERM");
    return ended;
  }
}

/** A line to a program that can be cut and mended while the program goes on. */
export class Line {
  private readonly open = new Set<net.Socket>();
  private whole = true;

  private constructor(private readonly server: net.Server, private to: URL) {}

  /** Lays one to the program at an address. */
  static async to(url: string): Promise<Line> {
    const server = net.createServer();
    const line = new Line(server, new URL(url));
    server.on("connection", (socket) => line.connect(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  /** Its end here. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  private connect(socket: net.Socket): void {
    if (!this.whole) {
      socket.destroy();
      return;
    }
    const beyond = net.connect(Number(this.to.port), this.to.hostname);
    for (const [end, other] of [[socket, beyond], [beyond, socket]] as const) {
      this.open.add(end);
      end.pipe(other);
      end.on("error", () => other.destroy());
      end.on("close", () => {
        this.open.delete(end);
        other.destroy();
      });
    }
  }

  /** From the next connection on it leads to another program. */
  lead(url: string): void {
    this.to = new URL(url);
  }

  /** Ends what is open and takes nothing new. */
  cut(): void {
    this.whole = false;
    for (const end of this.open) end.destroy();
  }

  /** Takes connections again. */
  mend(): void {
    this.whole = true;
  }

  /** Takes it away. */
  async remove(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
