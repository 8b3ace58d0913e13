# What the scripts that start servers share; sourced, not run.
# Each sets `server` and `usage`, and defines: fetch; option NAME VALUE (its own options of `start`); launch DATA PORT (0 when the server answers);
# variables DATA PORT (what `start` prints).
# shellcheck shell=bash disable=SC2154

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 30000))
        answers "$port" || break
    done
    printf '%s\n' "$port"
}

pid_of() { # DATA
    [ -s "$1/pid" ] || die "no $server was started in $1" "$0 start prints the folder"
    cat "$1/pid"
}
runs() { kill -0 "$1" 2>/dev/null; }

spawn() { # DATA COMMAND...
    : >"$1/server.log"
    # A group of its own: an interrupt at the terminal ends the tests, and those end the server.
    setsid "${@:2}" </dev/null >>"$1/server.log" 2>&1 &
    printf '%s\n' "$!" >"$1/pid"
}

await() { # DATA PORT SECONDS [WORDS OF ITS LOG]; 0 when it answers
    local pid waited=0
    pid="$(cat "$1/pid")"
    until { [ -z "${4:-}" ] || grep -qF "$4" "$1/server.log"; } && answers "$2"; do
        runs "$pid" || return 1
        [ $((waited += 1)) -lt $((20 * $3)) ] || { kill -KILL "$pid"; return 1; }
        sleep 0.05
    done
}

start() {
    local data="" parent="" attempt port answers
    while [ $# -gt 0 ]; do
        [ -n "${2:-}" ] || die "$1 needs a value" "$usage"
        case "$1" in
        --data) data="$2" ;;
        --with-parent) parent="$2" ;;
        *) option "$@" || die "unknown option $1" "$usage" ;;
        esac
        shift 2
    done
    fetch >/dev/null
    [ -n "$data" ] || data="$(mktemp -d "${TMPDIR:-/tmp}/holdfast-$(basename "$0").XXXXXX")"
    mkdir -p "$data"
    [ -z "$parent" ] || { runs "$parent" || nobody_needs_it; watch_parent "$parent" "$data"; }
    # A port that was free may be taken by the time the server binds it: then with another.
    for attempt in 1 2 3; do
        port="$(free_port)"
        if launch "$data" "$port"; then answers=yes; else answers=""; fi
        # The parent may have ended meanwhile, and its watcher with it.
        [ -z "$parent" ] || runs "$parent" || nobody_needs_it
        [ -z "$answers" ] || { variables "$data" "$port"; return 0; }
        say "the $server did not start (attempt $attempt of 3)"
    done
    tail -n 30 "$data"/*.log >&2 || true
    die "no $server could be started" "its log is in $data"
}

# For start: what it started goes, too.
nobody_needs_it() {
    [ ! -s "$data/pid" ] || end KILL "$data"
    rm -rf "$data"
    die "process $parent, for which the $server is started, has ended"
}

watch_parent() { # PID DATA
    (
        trap '' HUP INT
        tail --pid="$1" -f /dev/null
        # Nobody needs what it holds any more: no orderly shutdown.
        kill -KILL "$(cat "$2/pid")" || true
        rm -rf "$2"
    ) </dev/null >/dev/null 2>&1 &
}

end() { # SIGNAL DATA
    local pid waited=0
    pid="$(pid_of "$2")"
    kill -CONT "$pid" 2>/dev/null || return 0
    kill "-$1" "$pid" 2>/dev/null || return 0
    while runs "$pid"; do
        [ $((waited += 1)) -lt 300 ] || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.1
    done
}

status() { # DATA
    if runs "$(pid_of "$1")"; then printf 'runs\n'; else printf 'does not run\n'; exit 1; fi
}
