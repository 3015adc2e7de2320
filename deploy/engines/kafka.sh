#!/usr/bin/env bash
# A private Kafka broker (KRaft, one node) for development and tests: own data, free ports, loopback only.
#   usage: kafka.sh start [FAST|SAFE]      starts the broker if it is not running, and prints its URL
#          kafka.sh stop
#          kafka.sh foreground DIRECTORY   runs another broker in the foreground, with its data in DIRECTORY and its
#                                          URL in DIRECTORY/url, for tests that restart it. If DIRECTORY contains
#                                          ca.pem and broker.pem (key and certificate), clients need TLS with a
#                                          certificate of that CA, user `agon` and password `hush`.
# FAST limits JIT compilation, so the broker starts sooner: for tests only, not for benchmarks.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/deploy/engines/kafka
state=$(mkdir -p "${CARGO_TARGET_DIR:-target}/engines/kafka" && cd "${CARGO_TARGET_DIR:-target}/engines/kafka" && pwd)
libs=$state/libs

get() {
  [ ! -f "$libs/.complete" ] || return 0
  mkdir -p "$libs"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$libs" >&2
  touch "$libs/.complete"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Replaces this process by a Java program with a small heap: about 200 MB resident.
java_with() {
  exec java -Xms128m -Xmx384m -XX:+UseSerialGC ${AGON_KAFKA_FLAGS:--XX:TieredStopAtLevel=1} -XX:MaxMetaspaceSize=160m \
    -XX:MaxDirectMemorySize=64m -XX:-UsePerfData "-Dlog4j2.configurationFile=file:$here/log4j2.properties" \
    -cp "$libs/*" "$@"
}

# Additional settings for TLS and SASL. The plaintext listener is only used by the broker itself.
secure() { # DIRECTORY
  local login=org.apache.kafka.common.security
  cat <<EOF
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.clients.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.clients.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_agon="hush";
listener.name.clients.ssl.client.auth=required
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location=$1/broker.pem
listener.name.clients.ssl.truststore.type=PEM
listener.name.clients.ssl.truststore.location=$1/ca.pem
EOF
}

configure() { # DIRECTORY
  local client=$(free_port) controller=$(free_port) secured='' accounts=()
  local url=kafka://127.0.0.1:$client
  if [ -f "$1/broker.pem" ]; then
    secured=,CLIENTS://127.0.0.1:$(free_port)
    accounts=(--add-scram 'SCRAM-SHA-512=[name=agon,password=hush]')
    url=kafkas://${secured#*://}
  fi
  cat >"$1/server.properties" <<EOF
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$controller$secured
advertised.listeners=PLAINTEXT://127.0.0.1:$client$secured
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL
controller.quorum.voters=1@127.0.0.1:$controller
log.dirs=$1/logs
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
EOF
  [ -z "$secured" ] || secure "$1" >>"$1/server.properties"
  local id
  id=$(java_with kafka.tools.StorageTool random-uuid)
  (java_with kafka.tools.StorageTool format -t "$id" -c "$1/server.properties" --ignore-formatted "${accounts[@]}") \
    >"$1/format.log" 2>&1
  echo "$url" >"$1/url"
}

# The port opens before the broker responds.
responds() { # URL
  python3 - "${1#kafka://127.0.0.1:}" <<'EOF'
import socket, struct, sys
# ApiVersions, version 0: the first request of every client.
request = struct.pack(">hhih", 18, 0, 1, 4) + b"wait"
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1) as s:
        s.settimeout(1)
        s.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", s.recv(4))[0]
        sys.exit(0 if size > 6 else 1)
except (OSError, struct.error):
    sys.exit(1)
EOF
}

running() { [ -f "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; }

start() {
  if running; then cat "$state/url"; return; fi
  get
  local dir
  dir=$(mktemp -d /tmp/agon-kafka.XXXXXX)
  configure "$dir"
  if [ "$1" = SAFE ]; then export AGON_KAFKA_FLAGS=-XX:+TieredCompilation; fi
  java_with kafka.Kafka "$dir/server.properties" >"$dir/broker.log" 2>&1 </dev/null &
  echo $! >"$state/pid"
  echo "$dir" >"$state/dir"
  for _ in $(seq 300); do
    running || break
    if responds "$(cat "$dir/url")"; then tee "$state/url" <"$dir/url"; return; fi
    sleep 0.1
  done
  echo "Kafka did not start; see $dir/broker.log" >&2
  exit 1
}

stop() {
  if running; then kill -9 "$(cat "$state/pid")" 2>/dev/null || true; fi
  [ ! -f "$state/dir" ] || rm -rf "$(cat "$state/dir")"
  rm -f "$state/pid" "$state/dir" "$state/url"
}

foreground() {
  get
  mkdir -p "$1"
  [ -f "$1/url" ] || configure "$1"
  java_with kafka.Kafka "$1/server.properties"
}

case ${1:-} in
  start) start "${2:-FAST}" ;;
  stop) stop ;;
  foreground) foreground "$2" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
