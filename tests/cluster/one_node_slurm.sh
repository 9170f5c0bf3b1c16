#!/usr/bin/env bash
# A SLURM of one node on loopback, for tests: as root, with Debian's slurm-wlm and munge.
#   one_node_slurm.sh start FOLDER    (prints the path of its slurm.conf: export SLURM_CONF=...)
#   one_node_slurm.sh stop FOLDER
set -euo pipefail
action=${1:?start or stop}
folder=$(mkdir -p "${2:?folder}" && cd "$2" && pwd)
host=$(hostname -s)
conf=$folder/slurm.conf

start() {
  for tool in munged slurmctld slurmd; do
    command -v "$tool" >/dev/null || { echo "no $tool: apt-get install slurm-wlm munge" >&2; exit 3; }
  done
  [[ $(id -u) == 0 ]] || { echo "needs root: slurmd starts jobs for others" >&2; exit 3; }
  # Keys and sockets of our own: a SLURM that this machine may have is left alone.
  mkdir -p "$folder"/{state,spool,log,munge}
  if [[ ! -s $folder/munge/munge.key ]]; then
    dd if=/dev/urandom of="$folder/munge/munge.key" bs=1024 count=1 status=none
  fi
  chmod 0700 "$folder/munge" && chmod 0400 "$folder/munge/munge.key"
  munged --force --key-file="$folder/munge/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$folder/munge/munged.seed" 2>>"$folder/log/munged.start"
  cat >"$conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
SchedulerParameters=sched_interval=2,batch_sched_delay=0
MinJobAge=2
KillWait=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$conf
  slurmctld -f "$conf"
  slurmd -f "$conf"
  for _ in $(seq 120); do
    if [[ $(sinfo --noheader --format=%t 2>/dev/null) == idle ]]; then echo "$conf"; return; fi
    sleep 0.5
  done
  echo "the node did not come up; see $folder/log" >&2
  sinfo >&2 || true
  tail -n 5 "$folder"/log/*.log >&2
  stop
  exit 1
}

stop() {
  for name in slurmd slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    rm -f "$folder/$name.pid"
  done
}

case $action in start) start ;; stop) stop ;; *) echo "start or stop" >&2; exit 2 ;; esac
