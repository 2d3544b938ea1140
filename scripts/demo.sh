#!/usr/bin/env bash
# The whole of Windlass once, on this machine: a registry is started, the bundled plugins are published to it and installed from it,
# examples/quickstart runs with them in containers, and a server with the web UI is started, looked at and stopped.
#
# All it keeps is in .windlass/demo (and the lock and grants file beside the pipeline). A second run finds the plugins locked and
# installed, starts no registry and asks no network for anything.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

readonly PROJECT=examples/quickstart
readonly PLUGINS=(shell artifact container agent local)
readonly DATA=.windlass/demo
readonly PORTS=(7420 7421 7422 7423 7424 7425 7426 7427) # the first one that is free
readonly READY_SECONDS=20                                 # the registry answers within 0.1 s; a very busy machine takes longer

export WINDLASS_HOME="$root/$DATA/home"
windlass="$root/target/debug/windlass"
registry_server="$root/target/debug/registry-server"

# Every call of our two programs, in one place.
run_registry() { exec "$registry_server" serve --data "$DATA/registry" --listen "127.0.0.1:$1"; }
create_token() { "$registry_server" token create --data "$DATA/registry" --name demo --namespace windlass; }
publish() { phase "publish windlass:$1" "$windlass" plugin publish "plugins/$1"; }
install_plugins() { phase "$1" "$windlass" plugin install "${PLUGINS[@]/#/windlass:}" --project "$PROJECT" "${@:2}"; }
run_pipeline() { "$windlass" run "$PROJECT/windlass.yaml" --locked; }

server_pid=""
registry_pid=""
stop_server() {
  [ -n "$server_pid" ] || return 0
  kill "$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  server_pid=""
}
stop_registry() {
  [ -n "$registry_pid" ] || return 0
  kill "$registry_pid" 2>/dev/null || true
  wait "$registry_pid" 2>/dev/null || true
  registry_pid=""
}
trap "stop_server; stop_registry" EXIT

# Starts the server on a free port, and waits until it says where it is and who may sign in.
start_server() {
  local tries
  "$windlass" --project "$PROJECT" server --listen 127.0.0.1:0 >"$DATA/server.log" 2>"$DATA/server.err" </dev/null &
  server_pid=$!
  for ((tries = 0; tries < READY_SECONDS * 10; tries++)); do
    grep -q 'http://' "$DATA/server.log" && return 0
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$DATA/server.log" "$DATA/server.err" >&2
  fail "the server did not start." "Its log: $DATA/server.err"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Starts the registry and sets WINDLASS_REGISTRY.
start_registry() {
  local port="" candidate tries
  for candidate in "${PORTS[@]}"; do
    answers "$candidate" || { port="$candidate"; break; }
  done
  [ -n "$port" ] || fail "the ports ${PORTS[0]} to ${PORTS[-1]} are all taken." "Free one of them for the demo's registry."
  mkdir -p "$DATA/registry"
  run_registry "$port" >"$DATA/registry.log" 2>&1 </dev/null &
  registry_pid=$!
  for ((tries = 0; tries < READY_SECONDS * 10; tries++)); do
    if answers "$port"; then
      export WINDLASS_REGISTRY="http://127.0.0.1:$port"
      return 0
    fi
    kill -0 "$registry_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$DATA/registry.log" >&2
  fail "the registry did not start." "Its log: $DATA/registry.log"
}

scripts/setup.sh

if [ -x "$windlass" ]; then printf '\nBuild\n'; else printf '\nBuild (this once it takes some minutes)\n'; fi
phase "windlass and registry-server" make -s build
phase "bundled plugins" make -s plugins
phase "image windlass/demo-cc:1" scripts/demo-image.sh

# What the installed plugins were made from. Other bytes under a published version are refused by the registry, as they should be;
# whoever changes a plugin and runs the demo again gets a new registry.
components=(plugins/target/wasm32-wasip2/release/*.wasm)
[ -e "${components[0]}" ] || fail "the plugins were built, but plugins/target holds no component." "Run: make plugins"
stamp="$(sha256sum "${components[@]}" plugins/*/plugin.yaml | sha256sum)"

printf '\nPlugins\n'
if [ "$(cat "$DATA/published" 2>/dev/null)" = "$stamp" ] && [ -e "$PROJECT/windlass.lock" ]; then
  install_plugins "from windlass.lock: verified, nothing fetched" --locked
else
  rm -rf "$DATA/registry" "$DATA/published" "$PROJECT/windlass.lock" "$PROJECT/windlass.grants.yaml"
  start_registry
  echo "  registry at $WINDLASS_REGISTRY"
  # By the environment, because arguments are visible to every process of the machine.
  WINDLASS_REGISTRY_TOKEN="$(create_token)" || fail "the registry gave no token." "Its log: $DATA/registry.log"
  export WINDLASS_REGISTRY_TOKEN
  for plugin in "${PLUGINS[@]}"; do publish "$plugin"; done
  unset WINDLASS_REGISTRY_TOKEN
  install_plugins "install: fetch, verify, grant, lock, compile" --grant
  stop_registry
  printf '%s\n' "$stamp" >"$DATA/published"
fi

printf '\nRun: windlass run %s/windlass.yaml\n\n' "$PROJECT"
run_pipeline

printf '\nServer: windlass server\n\n'
start_server
sed 's/^/  /' "$DATA/server.log"
"$windlass" doctor --project "$PROJECT" 2>&1 | sed 's/^/  /' || true
stop_server

cat <<END

The server again, with the web UI and the run above; the key that was printed signs in:
  export WINDLASS_HOME="\$PWD/$DATA/home"
  target/debug/windlass --project $PROJECT server

Again, with another version and the last step:
  export WINDLASS_HOME="\$PWD/$DATA/home"
  target/debug/windlass run $PROJECT/windlass.yaml --input version=1.2.3 --input channel=stable
END
