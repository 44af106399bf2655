#!/usr/bin/env bash
# One Apache Kafka broker (KRaft, a single node) for tests; everything listens on 127.0.0.1.
#
#   tests/kafka.sh prepare|start|stop|restart|status|clean [DIR]
#
# DIR (default target/kafka) gets the jars, the configuration, the data and the log. `prepare` checks what is needed (java 17
# or later, and mvn for the first time) and downloads what is missing from Maven Central; `start` does that, starts the
# broker and returns when it answers; `stop` keeps topics and positions; `clean` stops it and removes everything but the
# jars. Several brokers can share DIR, each with its port.
#
# KAFKA_PORT (9092)   plaintext; the controller listens on the next port
# KAFKA_OWNER=PID     the broker ends when that process has ended, however it ended
# KAFKA_SASL=1        SASL_PLAINTEXT as well, on PORT+2, mechanism PLAIN, user admin, password admin-secret
# KAFKA_HEAP (512m)   KAFKA_VERSION (4.4.0)   KAFKA_WAIT (60) seconds that a start may take
set -euo pipefail

command=${1:-}
dir=${2:-target/kafka}
port=${KAFKA_PORT:-9092}
version=${KAFKA_VERSION:-4.4.0}
scala=2.13
wait_s=${KAFKA_WAIT:-60}

jars=$dir/jars-$version
data=$dir/data-$port
config=$dir/server-$port.properties
pid_file=$dir/server-$port.pid
log=$dir/server-$port.log

# The process must still be ours: pids are used again.
running() {
  [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null \
    && ps -p "$(cat "$pid_file")" -o args= 2>/dev/null | grep -q 'kafka\.Kafka'
}

# The first number of `17.0.15` and `21`, the second of `1.8.0`.
java_version() { java -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -1; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

prepare() {
  local found
  command -v java >/dev/null || { echo "java 17 or later is needed to run Kafka" >&2; exit 1; }
  found=$(java_version)
  [ "${found:-0}" -ge 17 ] || { echo "java 17 or later is needed to run Kafka; this is java ${found:-of an unknown version}" >&2; exit 1; }
  mkdir -p "$dir"
  # One downloads, the others wait. A subshell, so that the broker does not keep the lock.
  (
    if command -v flock >/dev/null; then
      exec 9>"$dir/lock"
      flock 9
    fi
    download
  )
}

download() {
  [ -f "$jars/.complete" ] && return 0
  command -v mvn >/dev/null || { echo "mvn is needed to download Kafka" >&2; exit 1; }
  rm -rf "$jars"
  # kafka-tools-api is declared by the broker's pom but was never published; without a log4j binding the broker is mute.
  cat >"$dir/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_$scala</artifactId><version>$version</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
XML
  mvn -q -B -f "$dir/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$(cd "$dir" && pwd)/jars-$version" >"$dir/download.log" 2>&1 \
    || { cat "$dir/download.log" >&2; exit 1; }
  touch "$jars/.complete"
}

configure() {
  local listeners="PLAINTEXT://127.0.0.1:$port" protocols="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT" sasl=""
  if [ "${KAFKA_SASL:-0}" = 1 ]; then
    listeners+=",SASL://127.0.0.1:$((port + 2))"
    protocols+=",SASL:SASL_PLAINTEXT"
    sasl='sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin-secret" user_admin="admin-secret";'
  fi
  # One replica of everything, and groups that balance at once: a test waits for nobody.
  cat >"$config" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=$listeners
listener.security.protocol.map=$protocols
inter.broker.listener.name=PLAINTEXT
log.dirs=$data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
$sasl
PROPERTIES
  cat >"$dir/log4j2.properties" <<'PROPERTIES'
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=${sys:level:-INFO}
rootLogger.appenderRef.console.ref=console
PROPERTIES
  # Formatted once: topics and positions survive a restart.
  [ -f "$data/meta.properties" ] || java -Dlog4j2.configurationFile="$dir/log4j2.properties" -Dlevel=ERROR -cp "$jars/*" \
    kafka.tools.StorageTool format -t 5L6g3nShT-eMCtK--X86sw -c "$config" >"$log" 2>&1 \
    || { cat "$log" >&2; exit 1; }
}

start() {
  if running; then
    echo "running: 127.0.0.1:$port, pid $(cat "$pid_file")"
    return
  fi
  ! answers || { echo "port $port is in use by another program" >&2; exit 1; }
  prepare
  configure
  # One compiler tier and the serial collector halve what the start costs.
  nohup java -Xms128m -Xmx"${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$dir/log4j2.properties" -cp "$jars/*" kafka.Kafka "$config" \
    >"$log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  if [ -n "${KAFKA_OWNER:-}" ]; then
    guard >/dev/null 2>&1 </dev/null &
  fi
  for ((i = 0; i < wait_s * 10; i++)); do
    if grep -q 'Kafka Server started' "$log" && answers; then
      echo "ready: 127.0.0.1:$port, pid $(cat "$pid_file")"
      return
    fi
    kill -0 "$(cat "$pid_file")" 2>/dev/null || break
    sleep 0.1
  done
  echo "the broker did not start; the end of $log:" >&2
  tail -30 "$log" >&2
  exit 1
}

# Waits for the end of the owner, who may have been killed, or of the broker. Signals to all of them end the owner first.
guard() {
  trap '' HUP INT TERM
  while kill -0 "$KAFKA_OWNER" 2>/dev/null && running; do
    sleep 1
  done
  kill -0 "$KAFKA_OWNER" 2>/dev/null || clean
}

clean() {
  stop && rm -rf "$data" "$config" "$log" "$dir/download.log"
}

stop() {
  if ! running; then
    rm -f "$pid_file"
    echo "not running"
    return
  fi
  local pid
  pid=$(cat "$pid_file")
  kill -TERM "$pid"
  for ((i = 0; i < 200; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$pid" 2>/dev/null; then
    kill -KILL "$pid"
  fi
  rm -f "$pid_file"
  echo "stopped"
}

case "$command" in
  prepare) prepare ;;
  start) start ;;
  stop) stop ;;
  restart) stop && start ;;
  status) if running; then echo "running: 127.0.0.1:$port, pid $(cat "$pid_file")"; else echo "not running"; exit 3; fi ;;
  clean) clean ;;
  *) sed -n '2,15p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2 ;;
esac
