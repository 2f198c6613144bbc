#!/bin/sh
# Write the secrets of the cluster into secrets/, beside this file. What is there stays.
set -eu
cd "$(dirname "$0")"
umask 022 # containers read them as users of their own; the directory is closed to everyone else on this machine
mkdir -p secrets
chmod 700 secrets
cd secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
[ -e ledger.password ] || random >ledger.password
[ -e broker.password ] || random >broker.password
[ -e webhook.secret ] || printf 'whsec_%s\n' "$(head -c 32 /dev/urandom | base64)" >webhook.secret
[ -e collator.toml ] || printf 'broker = "redis://:%s@valkey:6379/0"\n' "$(cat broker.password)" >collator.toml
if [ ! -e tokens ]; then
    collator token sender --add-to tokens >sender.token
fi
