#!/bin/sh
# services.sh env|up|down: .env with random secrets; RabbitMQ, MongoDB and S3 for this checkout, and an end of them.
# By docker or podman, as compose.yaml says. Without, or with ENGINES= : as processes of the caller, from what is installed.
# `up` prints the exports that lead to them, and all else on stderr. If a server did not start, it prints `false` too, so that
# `eval` fails as well, and its exit code is 1; one that is not installed is no failure.
set -eu
umask 077
cd "$(dirname "$0")"
folder=$PWD/.essaim/services
python=${PYTHON:-.venv/bin/python}

say() { echo "$*" >&2; }

env_file() {
  [ -e .env ] && return
  while IFS= read -r line; do
    case $line in
      '#'*) ;;
      *[=:]) line=$line$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') ;;
    esac
    printf '%s\n' "$line"
  done <.env.example >.env.part
  mv .env.part .env
  say "made .env"
}

settings() {
  env_file
  while IFS='=' read -r name value; do
    case $name in
      RABBITMQ_PASSWORD | RABBITMQ_PORT | RABBITMQ_MANAGEMENT_PORT | MONGODB_PASSWORD | MONGODB_PORT | S3_SECRET_KEY | S3_PORT)
        eval "$name=\$value" ;;
    esac
  done <.env
}

compose() {
  for engine in ${ENGINES-docker podman}; do
    if "$engine" info >/dev/null 2>&1 && "$engine" compose version >/dev/null 2>&1; then
      "$engine" compose "$@" >&2
      return
    fi
  done
  return 3
}

answers() { "$python" -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' "$1" 2>/dev/null; }

# After a reboot the number in the file may be that of another process, which is none of ours to end.
alive() {
  case $1 in rabbitmq) program=rabbitmq-server ;; mongodb) program=mongod ;; *) program=versitygw ;; esac
  [ -s "$folder/$1.pid" ] && kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null || return
  ! command -v ps >/dev/null || ps -o args= -p "$(cat "$folder/$1.pid")" | grep -q "$program"
}

# start NAME PORT COMMAND...: returns when the port answers.
start() {
  name=$1 port=$2
  shift 2
  alive "$name" && return
  if answers "$port"; then
    say "$name: something else listens on port $port; choose another in .env"
    return 1
  fi
  nohup "$@" >>"$folder/$name.log" 2>&1 </dev/null &
  echo $! >"$folder/$name.pid"
  until answers "$port"; do
    alive "$name" || { say "$name did not start; see $folder/$name.log"; return 1; }
    sleep 0.2
  done
}

rabbitmq() {
  # Debian's command on the PATH serves root and the user rabbitmq only; the one behind it serves anybody.
  command=$(PATH=/usr/lib/rabbitmq/bin:$PATH command -v rabbitmq-server) || {
    say "no rabbitmq-server here (Debian: apt install rabbitmq-server; macOS: brew install rabbitmq)"
    return 3
  }
  home=$folder/rabbitmq
  mkdir -p "$home"
  echo '[rabbitmq_management].' >"$home/plugins"
  cat >"$home/rabbitmq.conf" <<CONF
default_user = essaim
default_pass = $RABBITMQ_PASSWORD
listeners.tcp.default = 127.0.0.1:$RABBITMQ_PORT
consumer_timeout = 2592000000
management.tcp.ip = 127.0.0.1
management.tcp.port = $RABBITMQ_MANAGEMENT_PORT
CONF
  # A node of its own, with a name service of its own: others on this machine are not met.
  start rabbitmq "$RABBITMQ_PORT" env HOME="$home" PATH="$(dirname "$command"):$PATH" \
    RABBITMQ_NODENAME="essaim-$RABBITMQ_PORT@localhost" RABBITMQ_DIST_PORT=$((RABBITMQ_PORT + 20000)) \
    ERL_EPMD_PORT=$((RABBITMQ_PORT + 20001)) ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins" \
    RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$home/log" \
    RABBITMQ_PID_FILE="$home/pid" rabbitmq-server
}

mongodb() {
  command -v mongod >/dev/null || {
    say "no mongod here (version 7 or later: https://www.mongodb.com/docs/manual/installation/)"
    return 3
  }
  mkdir -p "$folder/mongodb"
  # Without passwords, unlike in containers: only this machine reaches it.
  start mongodb "$MONGODB_PORT" mongod --replSet essaim --dbpath "$folder/mongodb" --bind_ip 127.0.0.1 \
    --port "$MONGODB_PORT" --quiet || return
  "$python" - "127.0.0.1:$MONGODB_PORT" <<'PYTHON'
import sys
from pymongo import MongoClient
address = sys.argv[1]
with MongoClient(f"mongodb://{address}/?directConnection=true") as client:
    if "setName" not in client.admin.command("hello"):
        members = [{"_id": 0, "host": address}]
        client.admin.command("replSetInitiate", {"_id": "essaim", "members": members})
PYTHON
}

s3() {
  command -v versitygw >/dev/null || {
    say "no versitygw here (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0)"
    return 3
  }
  mkdir -p "$folder/s3/texts" # a bucket is a folder
  start s3 "$S3_PORT" env ROOT_ACCESS_KEY=essaim ROOT_SECRET_KEY="$S3_SECRET_KEY" \
    versitygw --port "127.0.0.1:$S3_PORT" --quiet posix "$folder/s3"
}

queue() { echo "export ESSAIM_QUEUE_URL='amqp://essaim:$RABBITMQ_PASSWORD@127.0.0.1:$RABBITMQ_PORT/'"; }
store() { echo "export ESSAIM_STORE_URL='mongodb://${1-}127.0.0.1:$MONGODB_PORT/essaim?directConnection=true${2-}'"; }
texts() {
  echo "export ESSAIM_TEXTS_URL='s3://texts' AWS_ENDPOINT_URL='http://127.0.0.1:$S3_PORT' AWS_REGION='us-east-1'"
  echo "export AWS_ACCESS_KEY_ID='essaim' AWS_SECRET_ACCESS_KEY='$S3_SECRET_KEY'"
}

# bring SERVER EXPORTS VARIABLE: starts a server, or notes that it is not installed, or did not start.
bring() {
  if "$1"; then
    "$2"
    return
  elif [ $? -ne 3 ]; then
    failed="$failed $1"
  fi
  missing="$missing $3"
}

not_started() {
  say "did not start: ${1# }"
  echo false
  exit 1
}

up() {
  settings
  if compose up --detach --wait rabbitmq mongodb s3; then
    queue
    store "essaim:$MONGODB_PASSWORD@" "&authSource=admin"
    texts
    return
  elif [ $? -ne 3 ]; then
    not_started "compose, see above"
  fi
  say "no docker or podman with compose that answers: taking what is installed"
  mkdir -p "$folder"
  missing='' failed=''
  bring rabbitmq queue ESSAIM_QUEUE_URL
  bring mongodb store ESSAIM_STORE_URL
  bring s3 texts ESSAIM_TEXTS_URL
  [ -z "$missing" ] || say "not set, so the embedded default stays:$missing"
  [ -z "$failed" ] || not_started "$failed"
}

down() {
  [ ! -e .env ] || settings
  for name in rabbitmq mongodb s3; do
    alive "$name" || continue
    pid=$(cat "$folder/$name.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    # Erlang's name service stays behind otherwise; it does not go while another node is in it.
    [ "$name" != rabbitmq ] || ERL_EPMD_PORT=$((${RABBITMQ_PORT:-5672} + 20001)) epmd -kill >/dev/null 2>&1 || true
    say "$name has ended; its data stays in $folder"
  done
  rm -f "$folder"/*.pid
  [ ! -e .env ] || compose down || [ $? -eq 3 ]
}

case ${1-} in
  env) env_file ;;
  up) up ;;
  down) down ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
