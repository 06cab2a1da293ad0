#!/bin/sh
# Runs beside Ray on every AWS worker, see cluster.yaml. A spot machine is told two minutes before it is
# taken back; this tells Ray, so that no new trial starts there, and those that must go on elsewhere do
# not count as failed. Elsewhere than on a spot machine the question is answered with 404, for ever.
set -eu
metadata=${METADATA:-http://169.254.169.254}
every=${EVERY:-5}

noticed() {
  token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/latest/api/token") &&
    curl -sf -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/spot/instance-action"
}

exec 9>"$HOME/.spot-notice"
flock -n 9 || exit 0 # it runs already
until noticed >/dev/null; do sleep "$every"; done
# Ray takes a node for taken back only once the time named here has passed: well before the two minutes
RAY_ADDRESS=auto # else it would start a Ray of its own, and drain that
export RAY_ADDRESS
exec ray drain-node --reason DRAIN_NODE_REASON_PREEMPTION \
  --reason-message 'a spot machine is taken back' --deadline-remaining-seconds 60
