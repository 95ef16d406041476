#!/usr/bin/env bash
# Deletes the EndpointSlices that svclink created in the main cluster. See --help.
set -euo pipefail

# The labels of svclink and of its Go release.
readonly OURS=endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai GO_RELEASE=cloudpilot.ai/svclink-cluster
readonly API=/apis/discovery.k8s.io/v1

usage() {
  cat <<'HELP'
Usage: hack/cleanup-endpointslices.sh [options]

Deletes the EndpointSlices that svclink or its Go release created in the main cluster: those with the label
endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai or cloudpilot.ai/svclink-cluster, and no others.
Run it after you remove svclink: while svclink is running and ClusterLinks exist, svclink recreates the EndpointSlices.

  -n, --namespace NAME   clean up only this namespace
  -A, --all-namespaces   clean up all namespaces (the default)
  --keep-go-release      keep what the Go release created, for a rollback
  -d, --dry-run          print what would be deleted, but delete nothing
  -y, --yes              do not ask for confirmation
  --context NAME         context in your kubeconfig (default: the current context)
  -h, --help             print this text

An EndpointSlice that changes after the script lists it is kept, and the exit code is 1.
HELP
}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "Error: $*"
  exit 1
}

context="" namespace="" all="" keep="" dry_run="" yes=""

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      -A | --all-namespaces) all=1 ;;
      --keep-go-release) keep=1 ;;
      -d | --dry-run) dry_run=1 ;;
      -y | --yes) yes=1 ;;
      --namespace=*) namespace=${1#*=} ;;
      --context=*) context=${1#*=} ;;
      -n | --namespace | --context)
        [ -n "${2:-}" ] || die "$1 needs a value; see --help"
        if [ "$1" = --context ]; then context=$2; else namespace=$2; fi
        shift
        ;;
      *) die "unknown option $1; see --help" ;;
    esac
    shift
  done
  [ -z "$namespace" ] || [ -z "$all" ] || die "use either --namespace or --all-namespaces, not both"
}

main_cluster() { kubectl ${context:+"--context=$context"} "$@"; }

# One line each: namespace, name, uid, resourceVersion.
list() {
  local scope=--all-namespaces
  [ -z "$namespace" ] || scope=--namespace=$namespace
  local selectors=("$OURS" "$GO_RELEASE")
  [ -z "$keep" ] || selectors=("$OURS,!$GO_RELEASE")
  local columns='{.metadata.namespace} {.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{"\n"}' selector
  for selector in "${selectors[@]}"; do
    main_cluster get endpointslices "$scope" --selector "$selector" -o "jsonpath={range .items[*]}$columns{end}" || exit 1
  done
}

delete() {
  local preconditions="{\"preconditions\": {\"uid\": \"$3\", \"resourceVersion\": \"$4\"}}"
  main_cluster delete --raw "$API/namespaces/$1/endpointslices/$2" -f - <<<"$preconditions" >/dev/null
}

counted() {
  if [ "$1" = 1 ]; then printf '1 EndpointSlice'; else printf '%s EndpointSlices' "$1"; fi
}

delete_all() {
  local where name uid version failed=0
  while read -r where name uid version; do
    if delete "$where" "$name" "$uid" "$version"; then
      printf 'deleted %s/%s\n' "$where" "$name"
    else
      failed=$((failed + 1))
    fi
  done <<<"$1"
  [ "$failed" = 0 ] || die "could not delete $(counted "$failed"), for the reasons above: run the command again"
}

confirm() {
  [ -z "$yes" ] || return 0
  printf 'Delete %s? [y/N] ' "$(counted "$1")" >&2
  local answer=""
  read -r answer || true
  case $answer in
    [yY] | [yY][eE][sS]) ;;
    *) die "nothing was deleted: answer y or pass --yes" ;;
  esac
}

main() {
  parse "$@"
  command -v kubectl >/dev/null || die "kubectl is not on the PATH: install it"
  local slices count
  slices=$(list)
  slices=$(sort -u <<<"$slices")
  if [ -z "$slices" ]; then
    say "Nothing to delete."
    return
  fi
  count=$(wc -l <<<"$slices" | tr -d ' ')
  awk '{ print "would delete " $1 "/" $2 }' <<<"$slices"
  if [ -n "$(main_cluster get clusterlinks --all-namespaces -o name 2>/dev/null || true)" ]; then
    say "Warning: ClusterLinks exist, so a running svclink creates these EndpointSlices again."
  fi
  [ -z "$dry_run" ] || return 0
  confirm "$count"
  delete_all "$slices"
}

main "$@"
