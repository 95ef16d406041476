#!/usr/bin/env bash
# Deletes the EndpointSlices that svclink made in a main cluster. See --help.
set -euo pipefail

# What svclink marks as its own, and what the Go release marked.
readonly OURS=endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai GO_RELEASE=cloudpilot.ai/svclink-cluster
readonly API=/apis/discovery.k8s.io/v1

usage() {
  cat <<'HELP'
Usage: hack/cleanup-endpointslices.sh [options]

Deletes the EndpointSlices that svclink, or its Go release, made in a main cluster: those with the label
endpointslice.kubernetes.io/managed-by=svclink.cloudpilot.ai or cloudpilot.ai/svclink-cluster. Others are never touched.
It is for what is left when svclink no longer runs: while it runs and ClusterLinks exist, it makes them again.

  -n, --namespace NAME   in this namespace only
  -A, --all-namespaces   in all namespaces (the default)
  --keep-go-release      not those of the Go release: for going back to it
  --dry-run              only show what would be deleted
  -y, --yes              do not ask
  --context NAME         context of your kubeconfig (default: the current one)
  -h, --help             this text

Each is deleted only in the state in which it was listed; one that changed meanwhile is left, and the exit code is 1.
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
      --dry-run) dry_run=1 ;;
      -y | --yes) yes=1 ;;
      --namespace=*) namespace=${1#*=} ;;
      --context=*) context=${1#*=} ;;
      -n | --namespace | --context)
        [ -n "${2:-}" ] || die "$1 needs a value; see --help"
        if [ "$1" = --context ]; then context=$2; else namespace=$2; fi
        shift
        ;;
      *) die "there is no option $1; see --help" ;;
    esac
    shift
  done
  [ -z "$namespace" ] || [ -z "$all" ] || die "give either --namespace or --all-namespaces, not both"
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

delete_all() {
  local where name uid version failed=0
  while read -r where name uid version; do
    if delete "$where" "$name" "$uid" "$version"; then
      printf 'deleted %s/%s\n' "$where" "$name"
    else
      failed=$((failed + 1))
    fi
  done <<<"$1"
  [ "$failed" = 0 ] || die "$failed EndpointSlices are left, for the reasons above: run this again"
}

confirm() {
  [ -z "$yes" ] || return 0
  printf 'Delete these %s EndpointSlices? [y/N] ' "$1" >&2
  local answer=""
  read -r answer || true
  case $answer in
    y | Y | yes) ;;
    *) die "nothing was deleted; answer y, or give --yes" ;;
  esac
}

main() {
  parse "$@"
  command -v kubectl >/dev/null || die "kubectl is not on the PATH: install it"
  local found count
  found=$(list)
  found=$(sort -u <<<"$found")
  if [ -z "$found" ]; then
    say "No EndpointSlice of svclink is left."
    return
  fi
  count=$(wc -l <<<"$found" | tr -d ' ')
  awk '{ print "would delete " $1 "/" $2 }' <<<"$found"
  if [ -n "$(main_cluster get clusterlinks --all-namespaces -o name 2>/dev/null || true)" ]; then
    say "Warning: there still are ClusterLinks: a running svclink makes these EndpointSlices again."
  fi
  [ -z "$dry_run" ] || return 0
  confirm "$count"
  delete_all "$found"
}

main "$@"
