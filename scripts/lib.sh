# Shared by the scripts beside it; sourced, not run.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# What is fetched once and kept: Kafka's jars, tools built by cargo install.
cache="${HOLDFAST_CACHE:-$root/.cache}"
target="${CARGO_TARGET_DIR:-$root/target}"

say() { printf '== %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed to run: $*" "run it as root, or install the packages it names yourself"
    fi
}

# need_packages PACKAGE...: installs the Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]} (Debian package names)" "install what your system calls them, then run this again"
    say "installing Debian packages: ${missing[*]}"
    # Old lists name packages that are gone: update first, and only then.
    as_root apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# package_candidate PACKAGE: the version that apt would install, if there is one.
package_candidate() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 0
    local candidate
    candidate="$(candidate_of "$1")"
    # Lists may be missing or old.
    [ -n "$candidate" ] || { (as_root apt-get update -qq >&2) || true; candidate="$(candidate_of "$1")"; }
    printf '%s\n' "$candidate"
}
candidate_of() { apt-cache policy "$1" 2>/dev/null | sed -nE 's/^ *Candidate: (.*[0-9].*)/\1/p'; }

# need_rust: the toolchain is the one thing that is not installed by us.
need_rust() {
    command -v cargo >/dev/null || die "cargo is not on the PATH" "install Rust $(rust_version) or newer, with rustup or from your system"
    local have
    have="$(rustc --version | sed -E 's/^rustc ([0-9]+\.[0-9]+).*/\1/')"
    [ "$(printf '%s\n%s\n' "$(rust_version)" "$have" | sort -V | head -n 1)" = "$(rust_version)" ] ||
        die "rustc $have is too old" "Holdfast needs Rust $(rust_version) or newer"
}
rust_version() { sed -nE 's/^rust-version = "([0-9.]+)"/\1/p' "$root/Cargo.toml"; }

# need_build_packages: what the C libraries inside (librdkafka, zstd) compile with.
need_build_packages() {
    if command -v dpkg-query >/dev/null; then
        need_packages gcc g++ make cmake pkg-config libssl-dev zlib1g-dev
    else
        local tool
        for tool in cc c++ make cmake pkg-config; do
            command -v "$tool" >/dev/null || die "$tool is not on the PATH" "install a C and C++ compiler, make, cmake, pkg-config, and the headers of OpenSSL and zlib"
        done
    fi
}

# need_java: a Java runtime of version 17 or newer; sets $java.
need_java() {
    local candidate
    for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" java; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        java="$candidate"
        [ "$(java_major)" -lt 17 ] || return 0
    done
    need_packages default-jre-headless
    java=java
    [ "$(java_major)" -ge 17 ] || die "Java $(java_major) is too old for the broker" "install a Java runtime of version 17 or newer and point JAVA_HOME at it"
}
java_major() { "$java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p;T;q'; }

# need_node: the Azure server of the tests runs on it.
need_node() {
    node_suffices && return 0
    local candidate
    candidate="$(package_candidate nodejs)"
    [ -z "$candidate" ] || ! dpkg --compare-versions "$candidate" ge 18 || need_packages nodejs npm
    node_suffices || die "Node.js 18 or newer with npm is needed for the Azure server of the tests${candidate:+ (the Debian package here is $candidate)}" \
        "install it from https://nodejs.org or your system's backports, or set HOLDFAST_TEST_AZURE and the AZURE_* variables to a container of yours (CONTRIBUTING.md)"
}
node_suffices() {
    command -v npm >/dev/null && command -v node >/dev/null && [ "$(node --version | sed -E 's/^v([0-9]+).*/\1/')" -ge 18 ]
}

# need_go: builds the S3 server of the tests. From 1.21 on, go fetches by itself the newer toolchain that a module asks for.
need_go() {
    go_suffices && return 0
    local candidate
    candidate="$(package_candidate golang-go)"
    [ -z "$candidate" ] || ! dpkg --compare-versions "$candidate" ge 2:1.21 || need_packages golang-go
    go_suffices || die "Go 1.21 or newer is needed to build the S3 server of the tests${candidate:+ (the Debian package here is $candidate)}" \
        "install it from https://go.dev/dl or your system's backports, or set HOLDFAST_TEST_S3 and the AWS_* variables to a server of yours (CONTRIBUTING.md)"
}
go_suffices() {
    command -v go >/dev/null || return 1
    local have
    have="$(go env GOVERSION 2>/dev/null | sed -nE 's/^go([0-9]+\.[0-9]+).*/\1/p')"
    [ -n "$have" ] && [ "$(printf '%s\n1.21\n' "$have" | sort -V | head -n 1)" = 1.21 ]
}
