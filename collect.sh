#!/bin/sh
# Collects a snapshot of this node for Tortie, with nothing but a POSIX shell and the node's own tools:
#
#   sh collect.sh node.tar.gz        (also .tgz, .tar, or a new directory; run it as root)
#
# Every file is what one tool printed. A tool that is missing or fails is named in the file `remarks`; a tool that had
# nothing to print leaves a comment or an empty list. Nothing on the node is changed: legacy tables and IPVS are listed only
# where /proc says that there are some, since listing creates them. All but connections and neighbours is read twice and
# compared without counters and clocks; when it changed, it is read again, at most four times.
# The same as `tortie snapshot`, see src/tortie/kernel/read.py. Exit code: 0 all read, 3 a part is missing, 2 nothing done.

set -u
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 077
most_readings=4

die() {
    echo "collect.sh: $*" >&2
    exit 2
}

[ $# -eq 1 ] || die "usage: sh collect.sh node.tar.gz"
target=$1
case $target in
    -*) die "no name for a snapshot: $target" ;;
esac
if [ -d "$target" ]; then
    [ -z "$(ls -A "$target")" ] || die "$target: a directory that is not empty"
elif [ -e "$target" ] || [ -L "$target" ]; then
    die "$target: is there already"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tortie.XXXXXX") || die "no temporary directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# keep FILE NOTHING COMMAND...: the command's output as FILE, NOTHING in its place when it printed none, or a remark.
keep() {
    file=$1
    nothing=$2
    shift 2
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "$file: $1 is not installed" >>"$into/remarks"
        return
    fi
    "$@" >"$work/out" 2>"$work/err" </dev/null
    settle $? "$file" "$nothing" "$*"
}

# settle CODE FILE NOTHING TEXT: what became of a command whose output is in $work/out and $work/err.
settle() {
    if [ "$1" -ne 0 ]; then
        complaint=$(sed -n '/[^[:space:]]/{s/^[[:space:]]*//;s/[[:space:]]*$//;p;}' "$work/err" | tail -n 1)
        echo "$2: \`$4\` failed: ${complaint:-exit code $1}" >>"$into/remarks"
    elif grep -q '[^[:space:]]' "$work/out"; then
        cp "$work/out" "$into/$2"
    elif [ -n "$3" ]; then
        echo "$3" >"$into/$2"
    else
        echo "# $4 printed nothing" >"$into/$2"
    fi
}

# rules TOOL NAMES: rules of one family; NAMES is the kernel's list of legacy tables.
rules() {
    tool=$1
    legacy=no
    [ -n "$(cat "$2" 2>/dev/null)" ] && legacy=yes
    if command -v "$tool-nft-save" >/dev/null 2>&1; then
        keep "$tool-nft-save" "" "$tool-nft-save"
    else
        # A system with one back-end only has the plain name, and its output says which one that is.
        keep "$tool-save" "" "$tool-save"
        if [ -f "$into/$tool-save" ] && ! head -c 1000 "$into/$tool-save" | grep -q '(nf_tables)'; then
            legacy=no
        fi
    fi
    [ $legacy = no ] || keep "$tool-legacy-save" "" "$tool-legacy-save"
}

# show FILE ARGUMENTS...: what `ip` knows, as JSON with numbers for names where this version can.
show() {
    file=$1
    shift
    if ip -N -j "$@" >/dev/null 2>&1; then
        keep "$file" "[]" ip -N -j "$@"
    else
        keep "$file" "[]" ip -j "$@"
    fi
}

settings() {
    if ! command -v sysctl >/dev/null 2>&1; then
        echo "sysctl: sysctl is not installed" >>"$into/remarks"
        return
    fi
    sysctl -a >"$work/all" 2>"$work/err" </dev/null
    code=$?
    # Some settings cannot be read by anyone; sysctl then ends with an error although it printed the others.
    grep -E "^kernel\.osrelease|^net\.(ipv4\.(conf\.|fib_|fwmark_reflect|icmp_|ip_|nexthop_compat_mode|vs\.|[A-Za-z0-9_]*l3mdev_accept)|ipv6\.\
(conf\.|fib_|fwmark_reflect|icmp\.|ip_nonlocal_bind|bindv6only)|netfilter\.|bridge\.)" "$work/all" |
        grep -v -e '^net\.ipv6\.conf\..*\.stable_secret' -e '^net\.netfilter\.nf_conntrack_count' >"$work/out"
    [ -s "$work/out" ] && code=0
    settle $code sysctl "" "sysctl -a"
}

connections() {
    if command -v conntrack >/dev/null 2>&1; then
        conntrack -L -f ipv4 >"$work/out" 2>"$work/err" </dev/null &&
            conntrack -L -f ipv6 >>"$work/out" 2>"$work/err" </dev/null
        settle $? conntrack "" "conntrack -L"
    elif [ -r /proc/net/nf_conntrack ]; then
        keep conntrack "" cat /proc/net/nf_conntrack
    else
        echo "conntrack: conntrack is not installed" >>"$into/remarks"
    fi
}

# configuration DIRECTORY: one pass over what stays as it is until somebody changes it.
configuration() {
    into=$1
    mkdir "$into" || die "$into: cannot be made"
    rules iptables /proc/net/ip_tables_names
    rules ip6tables /proc/net/ip6_tables_names
    keep nft-chains "" nft -y list chains
    keep ipset-save "" ipset save
    if [ -e /proc/net/ip_vs ]; then
        keep ipvs "" ipvsadm -Sn
    else
        echo "# no IPVS in this kernel" >"$into/ipvs"
    fi
    show ip-link.json -d link
    show ip-addr.json addr
    show ip-route.json -4 route show table all
    show ip6-route.json -6 route show table all
    show ip-nexthop.json nexthop
    show ip-rule.json -4 rule
    show ip6-rule.json -6 rule
    settings
}

# steady FILE: a file without what changes by itself.
steady() {
    case $1 in
        *tables*) sed -e '/^#/d' -e 's/\[[0-9]*:[0-9]*\]//g' "$1" ;;
        *ipset-save) sed -E 's/ (timeout|packets|bytes) [0-9]+//g' "$1" ;;
        *.json) sed -E 's/"(valid_life_time|preferred_life_time|expires|fdb_n_learned|[A-Za-z0-9_]*_timer)":[0-9.]+//g' "$1" ;;
        *) cat "$1" ;;
    esac
}

# differences FIRST SECOND: names of files that differ in more than counters and clocks, separated by commas.
differences() {
    names=
    for path in "$1"/* "$2"/*; do
        name=${path##*/}
        case ", $names, " in
            *", $name, "*) continue ;;
        esac
        [ "$name" = remarks ] && continue
        if [ -f "$1/$name" ] && [ -f "$2/$name" ]; then
            steady "$1/$name" >"$work/first"
            steady "$2/$name" >"$work/second"
            cmp -s "$work/first" "$work/second" && continue
        fi
        names="${names:+$names, }$name"
    done
    echo "$names"
}

name=${target##*/}
name=${name%%.*}
name=${name:-node}
configuration "$work/before"
count=1
while :; do
    configuration "$work/$count"
    changed=$(differences "$work/before" "$work/$count")
    count=$((count + 1))
    rm -rf "$work/before"
    mv "$work/$((count - 1))" "$work/before"
    [ -z "$changed" ] && break
    [ $count -lt $most_readings ] || break
done
into=$work/before
[ -z "$changed" ] || echo "changed while being read $most_readings times: $changed" >>"$into/remarks"
show ip-neigh.json neigh
connections

have_rules() {
    for path in "$into"/*tables*; do
        [ -f "$path" ] && return 0
    done
    return 1
}

have_rules || die "this node cannot be read: $(grep tables "$into/remarks" | head -n 1) (run it as root)"

case $target in
    *.tar | *.tar.gz | *.tgz)
        mv "$into" "$work/$name"
        into=$work/$name
        (cd "$work" && tar -cf "$work/tar" "$name") || die "tar failed"
        case $target in
            *.tar) mv "$work/tar" "$target" ;;
            *) gzip -c "$work/tar" >"$target" ;;
        esac || die "$target: cannot be written"
        ;;
    *)
        if ! { mkdir -p "$target" && cp "$into"/* "$target"/; }; then
            die "$target: cannot be written"
        fi
        ;;
esac

parts=0
for path in "$into"/*; do
    [ "${path##*/}" = remarks ] || parts=$((parts + 1))
done
echo "$target: $parts parts" >&2
if [ -f "$into/remarks" ]; then
    sed 's/^/collect.sh: /' "$into/remarks" >&2
    exit 3
fi
