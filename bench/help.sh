# Part of the scripts of this folder: --help prints the comment that a script begins with.
# shellcheck shell=bash
answer_help() {
    case ${1:-} in
    -h | --help) sed -n '2,/^[^#]/{ /^# shellcheck/d; s/^# \{0,1\}//p; }' "$0" && exit 0 ;;
    esac
}
no_arguments() {
    answer_help "$@"
    [ $# = 0 ] || { echo "$0: $1: no arguments, only variables: see $0 --help" >&2 && exit 2; }
}
