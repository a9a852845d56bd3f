# shellcheck shell=bash
# What every script shares: where things are kept, how they speak, how they fail.
#
# Nothing here changes the checkout. Everything that is built or fetched lies in one cache folder
# (VITRINE_CACHE), so that deleting that folder is a complete clean-up.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${VITRINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vitrine}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"
WEB_TARGET=wasm32-unknown-unknown
WEB_TARGET_DIR="$CACHE/target-web"
WEB_ENV="$CACHE/web.env"
SITE_DIR="$CARGO_TARGET_DIR/site"
SITE_LOCK="$CARGO_TARGET_DIR/site.lock" # held while the site is being built; server/build.rs waits for it
# shellcheck disable=SC2034 # used by the scripts that source this file
readonly ROOT CACHE WEB_TARGET WEB_TARGET_DIR WEB_ENV SITE_DIR SITE_LOCK
mkdir -p "$CACHE" "$CARGO_TARGET_DIR"

# One plain line on the terminal; standard output stays free for results.
say() { printf '%s\n' "$*" >&2; }

# The end of a script: one sentence that says what to do.
die() {
    printf 'vitrine: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# need TOOL "what to do when it is missing"
need() { have "$1" || die "$2"; }

# as_root COMMAND...: as root, if we are or may become it without a password.
as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

# The exact version of a crate in Cargo.lock.
locked_version() {
    [[ -f $ROOT/Cargo.lock ]] || die "Cargo.lock is missing; restore it with 'git checkout Cargo.lock'."
    awk -v want="name = \"$1\"" '$0 == want { getline; gsub(/version = |"/, ""); print; exit }' \
        "$ROOT/Cargo.lock"
}

# One fingerprint of standard input.
digest() {
    if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

# A line for every file under the given paths of the checkout, with its contents' fingerprint.
list_contents() {
    local sum=(sha256sum)
    have sha256sum || sum=(shasum -a 256)
    (cd "$ROOT" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 "${sum[@]}")
}

# Only one script at a time may prepare the named thing; the others wait for it.
hold() {
    have flock || return 0
    exec 9>"$CACHE/$1.lock"
    flock 9
}
