#!/usr/bin/env bash
# A real Apache Kafka for the tests that have to see one: one KRaft node on loopback, its jars from Maven, run by the
# installed JDK (17 or newer).
#   kafka.sh start [PORT] [DIR]   fetch once, format, start, wait for the port; prints KEY=VALUE lines. PORT 0 (the
#                                 default) is DIR's port if it has one, else a free one; DIR is ./kafka-data unless given
#   kafka.sh stop [DIR]           ends the process whose PID is in DIR: TERM, and KILL if it is still there after 20 s
#   kafka.sh kill [DIR]           KILL at once, for crash tests; the next `start` with this DIR goes on from its log
#   kafka.sh cli CLASS ARGS...    one of Kafka's tools, such as org.apache.kafka.tools.TopicCommand
# Settings: CITY_CACHE (jars; ~/.cache/city-services), KAFKA_VERSION, KAFKA_HEAP, KAFKA_LOG, JAVA; and lines of
# DIR/extra.properties, which are added when DIR is formatted. Topics have to be made: the broker makes none by itself.
#   export CITYSTREAM_TEST_BROKERS="$(kafka.sh start 0 /tmp/kafka | sed -n 's/^KAFKA_BROKERS=//p')"
set -euo pipefail

version="${KAFKA_VERSION:-4.3.1}"
cache="${CITY_CACHE:-$HOME/.cache/city-services}/kafka-$version"
java="${JAVA:-java}"

install() {
  [ -f "$cache/.complete" ] && return
  mkdir -p "$cache"
  cat > "$cache/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>city</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$cache/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/libs" -DincludeScope=runtime >&2
  touch "$cache/.complete"
}

run() { "$java" -Xmx"${KAFKA_HEAP:-768m}" -Xss512k -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG:-warn}" -cp "$cache/libs/*" "$@"; }

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# Is the PID in DIR a living Kafka of this DIR? The system may have given the number to another process since.
alive() { local pid; pid="$(cat "$1/pid" 2>/dev/null)" && tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q "kafka.Kafka $1/server.properties"; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start() {
  local port="${1:-0}" dir="${2:-$PWD/kafka-data}" control
  install
  mkdir -p "$dir"
  dir="$(cd "$dir" && pwd)"
  if alive "$dir"; then cat "$dir/env"; return; fi
  if [ ! -f "$dir/server.properties" ]; then
    [ "$port" != 0 ] || port="$(free_port)"
    control="$(free_port)"
    cat > "$dir/server.properties" <<PROPS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$control
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$control
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/log
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
# Tests send records of past years, which retention by time would delete at its next look.
log.retention.ms=-1
PROPS
    [ -f "$dir/extra.properties" ] && cat "$dir/extra.properties" >> "$dir/server.properties"
    run kafka.tools.StorageTool format -t "$(run kafka.tools.StorageTool random-uuid 2>/dev/null)" -c "$dir/server.properties" > "$dir/format.log" 2>&1 \
      || { cat "$dir/format.log" >&2; exit 1; }
  fi
  "$java" -Xmx"${KAFKA_HEAP:-768m}" -XX:+UseG1GC -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG:-warn}" \
    -cp "$cache/libs/*" kafka.Kafka "$dir/server.properties" > "$dir/server.log" 2>&1 < /dev/null &
  local pid=$!
  echo "$pid" > "$dir/pid"
  port="$(sed -n 's/^advertised.listeners=.*:\([0-9]*\)$/\1/p' "$dir/server.properties")"
  for _ in $(seq 1 300); do
    kill -0 "$pid" 2>/dev/null || { tail -20 "$dir/server.log" >&2; echo "kafka did not start" >&2; exit 1; }
    if listening "$port"; then
      printf 'KAFKA_BROKERS=127.0.0.1:%s\nKAFKA_PID=%s\nKAFKA_DIR=%s\n' "$port" "$pid" "$dir" | tee "$dir/env"
      return
    fi
    sleep 0.2
  done
  tail -20 "$dir/server.log" >&2; echo "kafka not ready after 60 s" >&2; kill "$pid"; exit 1
}

halt() {
  local signal="$1" dir="${2:-$PWD/kafka-data}" pid
  dir="$(cd "$dir" && pwd)"
  alive "$dir" || { rm -f "$dir/pid"; return 0; }
  pid="$(cat "$dir/pid")"
  kill "-$signal" "$pid" 2>/dev/null || true
  for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
  if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
  rm -f "$dir/pid"
}

case "${1:-}" in
  start) shift; start "$@" ;;
  stop)  shift; halt TERM "$@" ;;
  kill)  shift; halt KILL "$@" ;;
  cli)   shift; install; run "$@" ;;
  *) sed -n '2,12p' "$0" >&2; exit 2 ;;
esac
